"""A Redis Cluster of six processes that lose primaries: 503 at worst, and nobody mixed up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.redis.batching import ReadBatcher, Reading
from tests.support.failover import Load, log_in, outcome, pools_of, serving, verify
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.keys import code_key, deleted_user_key
from tests.support.process import LINUX_ONLY, eventually
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_servers import until
from tests.support.settings import APPID
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from service.redis.cluster import ClusterTopology
    from tests.support.figure import Figure
    from tests.support.redis_servers import RedisProcess
    from tests.support.running import Api, Simulator

    Serve = Callable[..., AbstractAsyncContextManager[Api]]

pytestmark = LINUX_ONLY

KINDS: Final = ("check", "login")


@pytest.fixture
async def cluster() -> AsyncIterator[RedisCluster]:
    async with RedisCluster() as running:
        yield running


@pytest.fixture
def serve(
    cluster: RedisCluster, simulator: Simulator, tmp_path: Path, empty_database: Path
) -> Serve:
    return lambda **overrides: serving(
        cluster.url, simulator, home=tmp_path, empty_database=empty_database, **overrides
    )


def owner_of(cluster: RedisCluster, sessionid: str) -> RedisProcess:
    return cluster.owner(KEY_PREFIX + sessionid[:22])


@pytest.mark.bar("B9")
async def test_three_primaries_killed_under_load_cost_moments_and_no_connection(
    cluster: RedisCluster, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    longest = []
    async with serve() as api:
        async with Load(api, simulator) as load:
            await asyncio.sleep(0.5)
            for victim in cluster.primaries():
                killed, watch = time.monotonic(), Stopwatch()
                victim.kill()
                await until(lambda: len(cluster.primaries()) == 3, within=5, what="a successor")
                await load.calm(seconds=0.5, within=5, kinds=("check", "login"))
                windows = [load.window(kind, since=killed, watch=watch) for kind in KINDS]
                longest.append(max(windows))
                assert max(windows) < 5
                victim.start()
                await cluster.whole()
        refused = ", ".join(f"{seconds:.1f}" for seconds in longest)
        figure(f"refused for {refused} s; {len(load.wrong)} wrong, {load.lost} lost")
        assert not load.wrong
        assert load.lost == 0
        assert set(load.seen) <= {f"{k} {s}" for k in ("check", "login") for s in (200, 401, 503)}
        assert load.seen["check 200"] > 1000
        assert load.seen["check 503"] > 0, "nobody noticed a thing"
        await the_connections_are_all_there(cluster, api)


async def the_connections_are_all_there(cluster: RedisCluster, api: Api) -> None:
    topology: ClusterTopology = api.app.ctx.services.sessions.redis.topology
    await eventually(
        lambda: set(topology.open_nodes.values()) == set(topology.nodes()),
        within=8,
        what="former primaries are closed",
    )
    pools = pools_of(api)
    assert len(pools) == 3
    assert {pool.connection_kwargs["port"] for pool in pools} == {
        node.port for node in cluster.primaries()
    }
    for pool in pools:
        held = len(pool._in_use_connections)
        assert held <= 2, "for reads and for commands"
        assert len(pool._available_connections) <= pool.max_connections
        taken = [await pool.get_connection() for _ in range(pool.max_connections - held)]
        for connection in taken:
            await pool.release(connection)
    # To the primaries what was just taken and a probe, to the replicas a probe, each with this
    # test's own; and nothing that was forgotten.
    for node in cluster.nodes:
        most = pools[0].max_connections if node.is_primary else 0
        assert len(node.client.client_list(_type="normal")) <= most + 2


@pytest.mark.bar("B11")
async def test_a_replaced_session_stays_replaced_when_replicas_confirm(
    cluster: RedisCluster, serve: Serve, simulator: Simulator
) -> None:
    async with serve(session_confirm_replicas=1) as api, Load(api, simulator, movers=12) as load:
        await asyncio.sleep(1)
        victim = owner_of(cluster, str(load.movers[0].current))
        victim.kill()
        await until(lambda: len(cluster.primaries()) == 3, within=5, what="a successor")
        await load.calm(seconds=0.5, within=5, kinds=("check",))
        degraded = await api.ask("GET", "/readyz")
        assert degraded.data == {"status": "degraded", "reason": "too_few_replicas"}
        victim.start()
        await cluster.whole()
        await load.calm(seconds=0.5, within=5, kinds=("check", "login"))
    print(load.seen)  # noqa: T201 # a figure to keep
    assert not load.wrong
    assert (load.lost, load.undone, load.revived) == (0, 0, 0)
    assert load.seen["login 503"] > 0, "nobody noticed a thing"


async def resurrected(
    cluster: RedisCluster, api: Api, simulator: Simulator
) -> tuple[tuple[int, int], bool]:
    """How a logout was answered that no replica heard of, and whether the session lived again."""
    session = await log_in(api, simulator)
    primary = owner_of(cluster, session)
    [replica] = cluster.replicas_of(primary)
    replica.freeze()
    # Cut, for a frozen server's kernel would take in the change all the same.
    primary.client.execute_command("CLIENT KILL TYPE replica")
    answer = await api.logout(session)
    primary.kill()
    replica.thaw()
    await until(lambda: replica.is_primary, within=8, what="the replica has taken over")
    watch = Stopwatch()
    while (seen := await verify(api, session))[0][0] == 503:
        assert not watch.exceeds(5)
        await asyncio.sleep(0.05)
    return outcome(answer), seen[0][0] == 200


@pytest.mark.bar("B11")
async def test_a_logout_that_no_replica_heard_of_is_not_called_done(
    cluster: RedisCluster, serve: Serve, simulator: Simulator
) -> None:
    async with serve(session_confirm_replicas=1) as api:
        answer, _ = await resurrected(cluster, api, simulator)
    assert answer == (503, 50300)


@pytest.mark.bar("B11")
async def test_unconfirmed_it_would_be_called_done_and_undone(
    cluster: RedisCluster, serve: Serve, simulator: Simulator
) -> None:
    async with serve() as api:
        assert await resurrected(cluster, api, simulator) == ((200, 0), True)


async def apart(cluster: RedisCluster, api: Api, simulator: Simulator) -> tuple[str, str, str]:
    """A user, whose session is on another server than the mark would be; and these two."""
    for number in range(50):
        answer = await api.login(await simulator.code(f"user-{number}"))
        session, mark = answer.data["sessionid"], deleted_user_key(answer.data["user"]["id"])
        if cluster.owner(mark) is not owner_of(cluster, session):
            return f"user-{number}", session, mark
    raise AssertionError("of two thirds there is none")


async def code_on(
    cluster: RedisCluster, simulator: Simulator, owner: RedisProcess, user: str
) -> str:
    """A code whose marker is on that server."""
    while True:
        code = await simulator.code(user)
        if cluster.owner(code_key("login", APPID, code)) is owner:
            return code


@pytest.mark.bar("K9")
async def test_a_login_is_done_though_the_mark_of_deleted_users_cannot_be_read(
    cluster: RedisCluster, serve: Serve, simulator: Simulator
) -> None:
    """The mark is on another primary than the session, and that one does not answer."""
    async with serve(limit_login="off", limit_login_per_app="off") as api:
        user, former, mark = await apart(cluster, api, simulator)
        code = await code_on(cluster, simulator, owner_of(cluster, former), user)
        cluster.owner(mark).freeze()
        answer = await api.login(code)
        assert answer.status == 200, "and the session before is gone"
        assert (await verify(api, answer.data["sessionid"]))[0][0] == 200
        assert (await verify(api, former))[0] == (401, 40101)


class Together:
    """All primaries as if they were one: what is read together waits for the slowest."""

    def __init__(self, topology: ClusterTopology, of: Callable[[str], Any]) -> None:
        self.clock = topology.nodes()[0].clock
        self.reads = ReadBatcher(self, in_cluster=True, with_ttl=False)  # type: ignore[arg-type] # all of it that matters
        self._of = of

    def send(self, batch: Any) -> None:
        """As a HeldConnection does, to several servers."""
        self._sending = asyncio.create_task(self._send(batch))

    async def _send(self, batch: Any) -> None:
        reads = (self._of(key).reads.read(key) for key in batch._keys)
        found = await asyncio.gather(*reads, return_exceptions=True)
        batch.answer([one.value if isinstance(one, Reading) else one for one in found])


def each_by_itself(cluster: RedisCluster, steady: dict[str, str]) -> dict[int, list[str]]:
    """The sessions, by the port of the primary that has them."""
    found: dict[int, list[str]] = {node.port: [] for node in cluster.primaries()}
    for sessionid in steady.values():
        found[owner_of(cluster, sessionid).port].append(sessionid)
    return found


async def slowest_of_the_others(
    cluster: RedisCluster, api: Api, steady: dict[str, str]
) -> tuple[float, set[int]]:
    """How long users of two primaries wait at most while the third is frozen, and their answers."""
    frozen, *others = cluster.primaries()
    by_port = each_by_itself(cluster, steady)
    stuck = by_port[frozen.port]
    fine = [sessionid for node in others for sessionid in by_port[node.port]]
    longest, seen = 0.0, set()

    async def ask(sessionid: str) -> None:
        nonlocal longest
        watch = Stopwatch(alone=True)
        came, _ = await verify(api, sessionid)
        longest = max(longest, watch.seconds)
        seen.add(came[0])

    frozen.freeze()
    async with asyncio.TaskGroup() as group:
        # Less than the cluster takes to notice, after which all is refused for a moment.
        for number in range(140):
            group.create_task(ask(fine[number % len(fine)]))
            group.create_task(verify(api, stuck[number % len(stuck)]))
            await asyncio.sleep(0.005)
    frozen.thaw()
    return longest, seen


async def test_a_frozen_primary_holds_up_nobody_elses_checks(
    cluster: RedisCluster, serve: Serve, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time enough: who is not held up is answered, however busy the machine.
    async with serve(redis_timeout_ms=2000) as api:
        async with Load(api, simulator, movers=0) as load:
            pass
        # The best of three: eight processes on few cores may all have to wait.
        for _ in range(3):
            longest, seen = await slowest_of_the_others(cluster, api, load.steady)
            print(f"longest {longest:.3f} s")  # noqa: T201 # a figure to keep
            assert seen == {200}
            await cluster.whole()
            if longest < 0.3:
                break
        assert longest < 0.3
        # The same with one batch for all, to see that this shows it.
        topology = api.app.ctx.services.sessions.redis.topology
        together = Together(topology, topology.node_of)
        monkeypatch.setattr(topology, "node_of", lambda _key: together)
        longest, _ = await slowest_of_the_others(cluster, api, load.steady)
    assert longest > 0.3
