"""Fixtures shared by all suites: a real Redis, the simulator, the service over a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import uvloop
from sanic import Sanic

from service.embedded_redis import embedded_redis
from tests.support.running import Api, Simulator, running_service, running_simulator
from tests.support.settings import make_settings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator

    from service.embedded_redis import EmbeddedRedis
    from service.settings import Settings

Sanic.test_mode = True


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that serves in production: its exceptions differ from asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """One real redis-server for the whole run."""
    with embedded_redis() as server:
        assert server.kind != "fakeredis", "no redis-server here: make setup installs one"
        yield server


@pytest.fixture
def settings(redis_server: EmbeddedRedis) -> Callable[..., Settings]:
    """Makes settings that point at the real Redis; keyword arguments override."""

    def make(**overrides: object) -> Settings:
        return make_settings(**{"redis_url": redis_server.url, **overrides})

    return make


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        yield running


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    """The service with default settings; two logins in a row replace each other."""
    async with running_service(
        settings(wechat_api_base=(simulator.url,), login_coalesce_ms=0)
    ) as running:
        yield running
