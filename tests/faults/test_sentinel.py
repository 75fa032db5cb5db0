"""A primary under three sentinels that dies or steps down: 503 at worst, and no restart."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pytest

from service.core.errors import SessionStoreUnavailable
from service.core.outage import Outage
from service.redis import connect
from service.redis.connect import open_client
from tests.support.failover import Load, log_in, outcome, pools_of, serving, verify
from tests.support.process import LINUX_ONLY
from tests.support.redis_servers import until
from tests.support.sentinel_group import MASTER_NAME, SentinelGroup
from tests.support.settings import make_settings
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from redis.asyncio.connection import AbstractConnection

    from tests.support.figure import Figure
    from tests.support.redis_servers import RedisProcess
    from tests.support.running import Api, Simulator

    Serve = Callable[..., AbstractAsyncContextManager[Api]]

pytestmark = LINUX_ONLY

KINDS: Final = ("check", "login")


@pytest.fixture
async def group() -> AsyncIterator[SentinelGroup]:
    async with SentinelGroup() as running:
        yield running


@pytest.fixture
def serve(
    group: SentinelGroup, simulator: Simulator, tmp_path: Path, empty_database: Path
) -> Serve:
    return lambda **overrides: serving(
        group.url, simulator, home=tmp_path, empty_database=empty_database, **overrides
    )


@pytest.mark.parametrize(
    ("password", "reason", "word"),
    [
        ("sentinel-canary", None, None),
        (None, "password_missing", "NOAUTH"),
        ("another", "password_wrong", "WRONGPASS"),
    ],
)
@pytest.mark.bar("K5")
async def test_sentinels_have_a_password_of_their_own(  # what it needs
    simulator: Simulator,
    tmp_path: Path,
    empty_database: Path,
    capfd: pytest.CaptureFixture[str],
    password: str | None,
    reason: str | None,
    word: str | None,
) -> None:
    async with (
        SentinelGroup(password="sentinel-canary") as guarded,
        serving(
            guarded.url,
            simulator,
            home=tmp_path,
            empty_database=empty_database,
            redis_sentinel_password=password,
        ) as api,
    ):
        ready = await api.ask("GET", "/readyz")
        login = outcome(await api.login(await simulator.code()))
    if reason is None:
        assert (ready.status, login) == (200, (200, 0))
        return
    assert (ready.status, ready.data, login) == (503, {"reason": reason}, (503, 50300))
    shown = "".join(capfd.readouterr())
    assert f"topology failed: NoNode {word} (" in shown
    assert "REDIS_SENTINEL_PASSWORD" in shown
    assert "sentinel-canary" not in shown


async def follow(api: Api, former: RedisProcess) -> None:
    """Wait until the service's pool is one of another primary than `former`."""

    def moved() -> bool:
        return any(pool.connection_kwargs["port"] != former.port for pool in pools_of(api))

    await until(moved, within=10, what="the service has another primary")


@pytest.mark.bar("B10")
async def test_a_killed_primary_is_followed_by_its_successor_without_a_restart(
    group: SentinelGroup, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    async with serve() as api:
        async with Load(api, simulator) as load:
            await asyncio.sleep(0.5)
            former, killed, watch = group.primary, time.monotonic(), Stopwatch()
            former.kill()
            await follow(api, former)
            await load.calm(seconds=0.5, within=10, kinds=("check", "login"))
            windows = [load.window(kind, since=killed, watch=watch) for kind in KINDS]
            figure(f"killed: refused for {max(windows):.1f} s")
            assert max(windows) < 10
            # It comes back as a primary with nothing in it, until the sentinels see to that.
            former.start()
            await until(lambda: former.is_primary, within=5, what="it is back")
            await asyncio.sleep(2)
            await load.calm(seconds=0.5, within=5, kinds=("check", "login"))
        print(load.seen, load.damage)  # noqa: T201
        assert not load.wrong
        assert load.lost == 0
        assert load.seen["check 503"] > 0, "nobody noticed a thing"
        [pool] = pools_of(api)
        assert len(pool._in_use_connections) <= 2, "for reads and for commands"
        assert len(pool._available_connections) <= pool.max_connections
        await asyncio.gather(*(verify(api, sid) for sid in load.steady.values()))


@pytest.mark.bar("B10")
async def test_a_primary_that_steps_down_is_asked_no_more(
    group: SentinelGroup, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    async with serve() as api, Load(api, simulator) as load:
        former, began, watch = group.primary, time.monotonic(), Stopwatch()
        group.sentinels[0].client.execute_command("SENTINEL FAILOVER", MASTER_NAME)
        await follow(api, former)
        await load.calm(seconds=0.5, within=10, kinds=("check", "login"))
        windows = [load.window(kind, since=began, watch=watch) for kind in KINDS]
        figure(f"stepped down: refused for {max(windows):.1f} s")
        assert max(windows) < 10
    # Until it steps down it takes logins that its successor never hears of: `undone` may be some.
    assert not load.wrong
    assert load.lost == 0


async def test_no_verdict_is_taken_from_a_server_that_is_no_primary(
    group: SentinelGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside one that does not look whom it speaks to, to see that this shows something."""

    async def to_anybody(connection: AbstractConnection) -> None:
        await connection.on_connect()

    settings, log = make_settings(redis_url=group.url), Outage("redis")
    right = open_client(settings, log)
    monkeypatch.setattr(connect, "_only_to_a_primary", to_anybody)
    trusting = open_client(settings, log)
    await right.set("session", "alive")
    assert [await one.get("session") for one in (right, trusting)] == [b"alive"] * 2
    primary = group.primary
    for sentinel in group.sentinels:
        sentinel.freeze()  # nobody tells the service of what follows, nor mends it
    primary.client.execute_command("FLUSHALL")  # as one that begins to copy another has nothing
    primary.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    primary.client.execute_command("CLIENT KILL TYPE normal")  # as sentinels do
    assert await trusting.get("session") is None
    with pytest.raises(SessionStoreUnavailable):
        await right.get("session")
    await right.aclose()
    await trusting.aclose()


@pytest.mark.bar("B11")
async def test_a_logout_that_no_replica_heard_of_is_not_called_done(
    group: SentinelGroup, serve: Serve, simulator: Simulator
) -> None:
    async with serve(session_confirm_replicas=1) as api:
        session = await log_in(api, simulator)
        primary = group.primary
        replicas = group.replicas_of(primary)
        for replica in replicas:
            replica.freeze()
        # Cut, for a frozen server's kernel would take in the change all the same.
        primary.client.execute_command("CLIENT KILL TYPE replica")
        assert outcome(await api.logout(session)) == (503, 50300)
        primary.kill()
        for replica in replicas:
            replica.thaw()
        await follow(api, primary)
        await until_served(api, session)
        assert (await api.logout(session)).data == {"ended": True}


async def until_served(api: Api, session: str) -> None:
    watch = Stopwatch()
    while (await verify(api, session))[0][0] == 503:
        assert not watch.exceeds(5)
        await asyncio.sleep(0.05)
