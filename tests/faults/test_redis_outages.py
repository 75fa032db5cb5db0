"""Outages of a single Redis end by themselves, and `/readyz` tells of them within two seconds."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.failover import Load, log_in, outcome, serving, verify
from tests.support.keys import SESSION_PREFIX
from tests.support.ports import free_ports
from tests.support.process import LINUX_ONLY
from tests.support.redis_pair import RedisPair
from tests.support.redis_servers import HABITS, RedisProcess, until
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.support.running import Api, Simulator

    Serve = Callable[..., AbstractAsyncContextManager[Api]]
    from tests.support.figure import Figure

pytestmark = LINUX_ONLY

UNAVAILABLE: Final = (503, 50300)
PASSWORD: Final = "password-canary"


@pytest.fixture
async def pair() -> AsyncIterator[RedisPair]:
    async with RedisPair() as running:
        yield running


@pytest.fixture
def serve(pair: RedisPair, simulator: Simulator, tmp_path: Path, empty_database: Path) -> Serve:
    return lambda **overrides: serving(
        pair.url, simulator, home=tmp_path, empty_database=empty_database, **overrides
    )


async def readiness(api: Api) -> tuple[int, str | None, str | None]:
    """The HTTP status, what it calls that, and why."""
    answer = await api.ask("GET", "/readyz")
    data: dict[str, Any] = answer.data or {}
    return answer.status, data.get("status"), data.get("reason")


async def until_ready(api: Api, wanted: tuple[int, str | None, str | None]) -> float:
    """Seconds until /readyz says so; fails after two."""
    watch = Stopwatch()
    while (found := await readiness(api)) != wanted:
        assert not watch.exceeds(2), found
        await asyncio.sleep(0.02)
    return watch.seconds


READY: Final = (200, "ready", None)


async def until_verified(api: Api, sessionid: str, wanted: int) -> float:
    """Seconds until /verify answers so; fails after two."""
    watch = Stopwatch()
    while (found := (await verify(api, sessionid))[0][0]) != wanted:
        assert not watch.exceeds(2), found
        await asyncio.sleep(0.01)
    return watch.seconds


@pytest.mark.bar("K1")
async def test_a_failover_behind_one_address_costs_no_login(
    pair: RedisPair, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    async with serve() as api:
        alice = await log_in(api, simulator)
        await log_in(api, simulator, "bob")
        pair.promote()
        pair.move()
        watch = Stopwatch()
        answers = [await api.login(await simulator.code(f"user-{n}")) for n in range(10)]
        figure(
            f"{sum(one.status != 200 for one in answers)} of 10 logins lost,"
            f" all done after {watch.seconds:.2f} s"
        )
        assert [outcome(one) for one in answers] == [(200, 0)] * 10
        assert (await verify(api, alice))[0][0] == 200
        assert await readiness(api) == READY
        # By then the connections to the former primary are gone, all of them.
        await until(
            lambda: len(pair.primary.client.client_list(_type="normal")) == 1,
            within=8,
            what="none is left",
        )


@pytest.mark.bar("K1")
async def test_a_demoted_primary_is_not_read_on(
    pair: RedisPair, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    """Even where nothing is written that it could refuse."""
    async with serve() as api:
        alice = await log_in(api, simulator)
        assert (await verify(api, alice))[0][0] == 200
        pair.promote()
        pair.move()
        # Ended elsewhere: the former primary does not hear of it.
        assert pair.replica.client.delete(SESSION_PREFIX + alice[:22]) == 1
        took = await until_verified(api, alice, 401)
        figure(f"let in for {took:.2f} s")


@pytest.mark.bar("K1")
async def test_while_a_replica_answers_nothing_is_let_in_and_readyz_is_red(
    pair: RedisPair, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    async with serve() as api:
        alice = await log_in(api, simulator)
        pair.promote()
        red = await until_ready(api, (503, None, "read_only"))
        await until_verified(api, alice, 503)
        assert outcome(await api.login(await simulator.code())) == UNAVAILABLE
        pair.move()
        green = await until_ready(api, READY)
        assert (await verify(api, alice))[0][0] == 200
        await log_in(api, simulator)
        figure(f"red after {red:.2f} s, green after {green:.2f} s")


@pytest.mark.bar("K1")
async def test_under_load_a_failover_behind_one_address_loses_nothing(
    pair: RedisPair, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    async with serve() as api, Load(api, simulator) as load:
        await asyncio.sleep(0.5)
        pair.promote()
        pair.move()
        await asyncio.sleep(2.5)  # longer than a demoted primary is read on
        await load.calm(seconds=0.5, within=5, kinds=("check", "login"))
    figure(f"{dict(load.seen)}, {load.damage}")
    assert not load.wrong
    assert load.lost == 0
    assert load.seen["login 200"] > 10
    assert load.seen["login 503"] <= len(load.movers)  # those under way, once


async def test_a_killed_server_is_back_as_soon_as_it_is(
    pair: RedisPair, serve: Serve, simulator: Simulator, figure: Figure
) -> None:
    async with serve() as api:
        alice = await log_in(api, simulator)
        pair.primary.kill()
        red = await until_ready(api, (503, None, "unreachable"))
        assert (await verify(api, alice))[0][0] == 503
        pair.primary.start()
        await until(lambda: pair.primary.answers, within=5, what="it answers")
        green = await until_ready(api, READY)
        await log_in(api, simulator)
        figure(f"red after {red:.2f} s, green after {green:.2f} s")


async def cut_off(pair: RedisPair) -> None:
    pair.replica.kill()
    await until(lambda: not pair.replicas_of(pair.primary), within=5, what="it is alone")
    pair.primary.client.config_set("min-replicas-to-write", 1)


async def fill(pair: RedisPair) -> None:
    pair.primary.client.config_set("maxmemory", 1)


async def break_the_disk(pair: RedisPair) -> None:
    client, folder = pair.primary.client, pair.home / "disk"
    folder.mkdir()
    client.config_set("dir", str(folder))
    client.config_set("save", "3600 1")
    shutil.rmtree(folder)
    client.bgsave()
    await until(
        lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err",
        within=5,
        what="a snapshot fails",
    )


@pytest.mark.parametrize(
    ("harm", "heal", "seen"),
    [
        (cut_off, ("min-replicas-to-write", 0), (503, None, "too_few_replicas")),
        (fill, ("maxmemory", 0), (200, "degraded", "out_of_memory")),
        (break_the_disk, ("save", ""), (200, "degraded", "disk_error")),
    ],
    ids=["cut off", "full", "disk"],
)
@pytest.mark.bar("K1")
async def test_a_primary_that_takes_no_changes_is_told_of_and_read_on(  # what it needs
    pair: RedisPair,
    serve: Serve,
    simulator: Simulator,
    harm: Callable[[RedisPair], Any],
    heal: tuple[str, str | int],
    seen: tuple[int, str | None, str | None],
    figure: Figure,
) -> None:
    async with serve() as api:
        alice = await log_in(api, simulator)
        await harm(pair)
        told = await until_ready(api, seen)
        assert outcome(await api.login(await simulator.code())) == UNAVAILABLE
        assert (await verify(api, alice))[0][0] == 200
        pair.primary.client.config_set(heal[0], heal[1])
        healed = await until_ready(api, READY)
        assert (await verify(api, alice))[0][0] == 200
        await log_in(api, simulator)
        figure(f"told after {told:.2f} s, healed after {healed:.2f} s")


@pytest.mark.parametrize(
    ("credentials", "word", "reason"),
    [("", "NOAUTH", "password_missing"), (":wrong@", "WRONGPASS", "password_wrong")],
)
@pytest.mark.bar("K5")
async def test_a_password_that_is_not_its_own_is_named(  # what it needs
    simulator: Simulator,
    tmp_path: Path,
    empty_database: Path,
    capfd: pytest.CaptureFixture[str],
    credentials: str,
    word: str,
    reason: str,
) -> None:
    [port] = free_ports(1)
    options = (*HABITS, "--requirepass", PASSWORD)
    node = RedisProcess(tmp_path / "redis", port, *options, password=PASSWORD)
    node.start()
    try:
        await until(lambda: node.answers, within=5, what="it answers")
        url = f"redis://{credentials}127.0.0.1:{port}"
        async with serving(url, simulator, home=tmp_path, empty_database=empty_database) as api:
            assert await readiness(api) == (503, None, reason)
            assert outcome(await api.login(await simulator.code())) == UNAVAILABLE
    finally:
        node.kill()
    shown = "".join(capfd.readouterr())
    assert f" {word} (" in shown
    assert PASSWORD not in shown
