"""Fixtures shared by all suites: a real Redis, the simulator, the service over a socket."""

from __future__ import annotations

import asyncio
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest
import redis
import uvloop
from sanic import Sanic

from service.dev.embedded_redis import embedded_redis
from service.wiring import migrate
from tests.support.postgres import Postgres, running_postgres
from tests.support.redis_cluster import RedisCluster
from tests.support.running import Api, Simulator, running_service, running_simulator
from tests.support.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.figure import Figure

Sanic.test_mode = True

_SLOW: Final = {
    "test_supervisor.py": 90,
    "test_rolling_restart.py": 85,
    "test_operate.py": 110,
    "test_processes.py": 75,
    "test_user_faults.py": 70,
    "test_drain.py": 60,
    "test_stalled_clients.py": 60,
    "test_sql_outages.py": 60,
    "test_metrics_workers.py": 60,
    "test_picture_bombs.py": 50,
    "test_redis_faults.py": 50,
    "test_linearizable.py": 50,
    "test_session_marks.py": 45,
    "test_ended_sessions.py": 20,
    "test_cluster.py": 50,
    "test_limits.py": 35,
    "test_sentinel.py": 35,
    "test_foreign_values.py": 30,
    "test_wechat_faults.py": 30,
    "test_access_token.py": 30,
    "test_crowds.py": 30,
    "test_user_store_races.py": 25,
    "test_encrypted_data.py": 25,
    "test_short_way.py": 25,
    "test_framing.py": 20,
    "test_gateway_heads.py": 20,
    "test_gateways.py": 20,
    "test_deadlines.py": 20,
    "test_untaken_answers.py": 20,
    "test_migrations.py": 20,
    "test_exposure.py": 20,
    "test_upload_forms.py": 15,
    "test_keys_and_log.py": 15,
    "test_avatar_faults.py": 15,
    "test_user_store.py": 15,
    "test_redis_outages.py": 15,
    "test_readme.py": 15,
    "test_strangers.py": 10,
    "test_flows.py": 10,
    "test_slow_wechat.py": 10,
}
"""Seconds, about, of the files that take many."""


class Loop(uvloop.Loop):
    """One that complains of what was left open when it has closed, not while it does.

    A warning that is an error keeps uvloop from closing the transport that it
    warns of, and then it waits for that for ever: so ended runs in which a test
    that leant on PostgreSQL had failed.
    """

    def close(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            super().close()
        for one in caught:
            warnings.warn(str(one.message), ResourceWarning, stacklevel=2)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that serves in production: its exceptions differ from asyncio's."""
    return {"uvloop": Loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no core is left to it alone in the end."""
    items.sort(key=lambda item: -_SLOW.get(item.path.name, 0))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have reports say which bars a test measures (tests/faults/bars.py), in whatever process."""
    bars = {name: None for mark in item.iter_markers("bar") for name in mark.args}
    item.user_properties.extend(("bar", name) for name in bars)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Prints what was measured, and has it in the table of `make faults`."""

    def say(text: str) -> None:
        print(text)  # noqa: T201 # a figure to keep
        request.node.user_properties.append(("figure", text))

    return say


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """One real redis-server for the whole run."""
    with embedded_redis() as server:
        assert server.kind != "fakeredis", "no redis-server here: make setup installs one"
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """One real cluster for the whole run."""
    # Servers end with the thread that started them; this one has no event loop yet.
    with ThreadPoolExecutor(1) as keeper:
        # None of its tests has a node die: one that only waits for a processor is not down.
        cluster = RedisCluster(node_timeout_ms=5000)
        keeper.submit(lambda: asyncio.run(cluster.start())).result()
        yield cluster
        cluster.stop()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows, to copy."""
    path = tmp_path_factory.mktemp("sql") / "empty.db"
    asyncio.run(migrate(make_settings(database_url=f"sqlite:///{path}")))
    return path


@pytest.fixture
def settings(
    redis_server: EmbeddedRedis, empty_database: Path, tmp_path: Path
) -> Callable[..., Settings]:
    """Makes settings with the real Redis, emptied, and users and avatars of the test's own.

    Keyword arguments override.
    """
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    database = tmp_path / "users.db"
    shutil.copy(empty_database, database)

    def make(**overrides: object) -> Settings:
        values = {
            "redis_url": redis_server.url,
            "database_url": f"sqlite:///{database}",
            "avatar_store": f"file://{tmp_path / 'avatars'}",
        }
        return make_settings(**{**values, **overrides})

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One real PostgreSQL for the whole run."""
    with running_postgres() as server:
        yield server
