"""Restarts behind a balancer, under load, with clients and balancers that repeat no request."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from service.wiring import migrate
from tests.faults.journeys import Journeys
from tests.support.balancers import Balancer, HAProxy, Nginx, needs
from tests.support.effort import effort
from tests.support.process import (
    LINUX_ONLY,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.settings import make_settings
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.support.figure import Figure
    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.alone, pytest.mark.timeout(240)]

ROLLS: Final = effort(1, 3)
LEAST_REQUESTS: Final = effort(3_000, 20_000)
PEOPLE: Final = 32
PER_SECOND: Final = 500
SETTLING_SECONDS: Final = 1.0
"""After a start: HAProxy has asked `/readyz`."""

Make = Callable[["Sequence[int]", "Path"], Balancer]


def haproxy(*, redispatch: bool) -> Make:
    return lambda servers, home: HAProxy(servers, home, redispatch=redispatch)


def nginx(next_upstream: str) -> Make:
    return lambda servers, home: Nginx(servers, home, next_upstream=next_upstream)


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@pytest.fixture
async def environment(redis: RedisServer, simulator: Simulator, tmp_path: Path) -> dict[str, str]:
    """Of instances that share everything; one login in twenty takes WeChat a second."""
    database = f"sqlite:///{tmp_path / 'users.db'}"
    await migrate(make_settings(database_url=database))
    await simulator.fault("latency", probability=0.05, median_ms=1000, tail_ms=1000)
    return complete_environment(
        redis=redis.url,
        wechat=simulator.url,
        DATABASE_URL=database,
        LOGIN_COALESCE_MS="0",
        PROXIES_COUNT="1",
        LIMIT_LOGIN_PER_ADDRESS="off",
        LIMIT_NICKNAMES_PER_USER="off",
    )


@asynccontextmanager
async def under_load(
    balancer: Balancer, simulator: Simulator, figure: Figure
) -> AsyncIterator[Journeys]:
    """People ask until the body has ended and they have asked often enough; none may fail."""
    watch, restarts = Stopwatch(), 0.0
    journeys = Journeys(balancer.port, simulator, people=PEOPLE, per_second=PER_SECOND)
    running = asyncio.create_task(journeys.run())
    try:
        await eventually(lambda: journeys.requests > PER_SECOND, within=10, what="there is load")
        began = watch.elapsed
        yield journeys
        restarts = watch.elapsed - began
        await eventually(
            lambda: journeys.requests >= LEAST_REQUESTS, within=120, what="there was enough of it"
        )
    finally:
        journeys.stop()
        await running
        twice = balancer.sent_twice()
        figures = f"{journeys}, {twice} sent twice, {ROLLS} restarts in {restarts:.1f} s"
        figure(figures)
    assert not journeys.failed, (figures, journeys.last)
    assert not twice, figures


@pytest.mark.parametrize(
    ("balance", "drain"),
    [
        # Either the balancer may bring a request that no server has seen to another one,
        pytest.param(haproxy(redispatch=True), 0, marks=needs("haproxy"), id="haproxy"),
        pytest.param(nginx("error timeout"), 0, marks=needs("nginx"), id="nginx"),
        # or it has seen twice that this one will serve no more, while it still does.
        pytest.param(haproxy(redispatch=False), 2, marks=needs("haproxy"), id="haproxy, drained"),
    ],
)
@pytest.mark.bar("F2")
async def test_two_instances_that_are_restarted_in_turn_lose_no_request(
    environment: dict[str, str],
    simulator: Simulator,
    tmp_path: Path,
    balance: Make,
    drain: int,
    figure: Figure,
) -> None:
    homes = [tmp_path / name for name in ("one", "other", "balancer")]
    for home in homes:
        home.mkdir()
    environment |= {"DRAIN_SECONDS": str(drain)}
    async with (
        ServiceProcess(environment, home=homes[0]) as one,
        ServiceProcess(environment, home=homes[1]) as other,
    ):
        for instance in (one, other):
            await instance.ready()
        async with (
            balance([one.port, other.port], homes[2]) as balancer,
            under_load(balancer, simulator, figure),
        ):
            for _ in range(ROLLS):
                for instance in (one, other):
                    instance.signal(signal.SIGTERM)
                    assert await instance.ended(within=20) == 0
                    instance.start()
                    await instance.ready()
                    await asyncio.sleep(SETTLING_SECONDS)


def replaced(service: ServiceProcess, former: set[int]) -> bool:
    """Whether as many other workers serve, and the former ones have ended."""
    assert service.process.poll() is None, service.output
    service.look()
    living = {one.pid for one in service.remains}
    return len(service.workers) == len(former) and not former & living


@pytest.mark.parametrize(
    "balance",
    [
        pytest.param(haproxy(redispatch=False), marks=needs("haproxy"), id="haproxy"),
        pytest.param(nginx("off"), marks=needs("nginx"), id="nginx"),
    ],
)
@pytest.mark.bar("F2")
async def test_workers_that_are_restarted_one_by_one_lose_no_request(
    environment: dict[str, str], simulator: Simulator, tmp_path: Path, balance: Make, figure: Figure
) -> None:
    home = tmp_path / "balancer"
    home.mkdir()
    environment |= {"WEB_CONCURRENCY": "2"}
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await eventually(lambda: len(service.workers) == 2, within=10, what="two workers serve")
        async with (
            balance([service.port], home) as balancer,
            under_load(balancer, simulator, figure),
        ):
            for _ in range(ROLLS):
                former = service.workers
                service.signal(signal.SIGHUP)
                await eventually(
                    lambda former=former: replaced(service, former),  # type: ignore[misc]
                    within=30,
                    what="two others serve",
                )
