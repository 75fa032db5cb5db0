"""Every store under its contract: on a redis-server and on a cluster, in part on fakeredis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio

from service.core.outage import Outage
from service.dev.embedded_redis import embedded_redis
from service.redis.connect import open_client
from service.redis.scripts import Scripts
from service.stores.code_markers import CodeMarkers
from service.stores.keyring import Keyring
from service.stores.login_codes import RedisLoginCodes
from service.stores.phone_codes import RedisPhoneCodes
from service.stores.sessions import RedisSessions
from service.stores.used_data import RedisUsedData
from tests.contracts.kinds import CLUSTER, CLUSTER_MARKS, REAL, SERVER
from tests.support.events import RecordedEvents
from tests.support.settings import SECRET_KEY, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from redis.asyncio import Redis

    from service.dev.embedded_redis import EmbeddedRedis
    from service.redis.client import RedisClient
    from tests.support.redis_cluster import RedisCluster


@dataclass
class Stores:
    """Makes stores over one Redis, each as another worker would have it."""

    redis: Redis
    """To look behind them."""
    client: RedisClient
    events: RecordedEvents = field(default_factory=RecordedEvents)
    """What the sessions have told."""

    def sessions(self, **overrides: object) -> RedisSessions:
        settings = make_settings(**overrides)
        return RedisSessions(self.client, self.scripts(), settings, events=self.events)

    def codes(self, **overrides: object) -> RedisLoginCodes:
        return RedisLoginCodes(self._markers(**overrides))

    def phone_codes(self, **overrides: object) -> RedisPhoneCodes:
        keyring = Keyring([SECRET_KEY], purpose="phone")
        return RedisPhoneCodes(self.client, self._markers(**overrides), keyring)

    def used(self, *, max_age: int = 7200) -> RedisUsedData:
        return RedisUsedData(self.client, self.scripts(), max_age=max_age)

    async def raw(self, key: str | bytes) -> bytes:
        """The value of a key that is there."""
        value = await self.redis.get(key)
        assert isinstance(value, bytes)
        return value

    async def everything(self) -> dict[bytes, bytes]:
        """All keys and their values."""
        keys = [key async for key in self.redis.scan_iter()]
        return {key: await self.raw(key) for key in keys}

    def scripts(self) -> Scripts:
        return Scripts(self.client)

    def _markers(self, **overrides: object) -> CodeMarkers:
        return CodeMarkers(self.client, self.scripts(), make_settings(**overrides))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have the test once for each kind of Redis that `redis` in its marks names."""
    if "stores" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("redis")
        named = mark.args if mark else REAL
        kinds = [pytest.param(one, marks=CLUSTER_MARKS if one == CLUSTER else ()) for one in named]
        metafunc.parametrize("stores", kinds, indirect=True)


@pytest.fixture(scope="session")
def fakeredis_server() -> Iterator[EmbeddedRedis]:
    """What `make run` falls back to where there is no redis-server."""
    with embedded_redis("fakeredis") as server:
        yield server


@pytest.fixture
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    client: Any
    if request.param == CLUSTER:
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        client = redis.asyncio.RedisCluster("127.0.0.1", cluster.nodes[0].port)
        url = cluster.url
    else:
        fixture = "redis_server" if request.param == SERVER else "fakeredis_server"
        url = request.getfixturevalue(fixture).url
        client = redis.asyncio.Redis.from_url(url)
    ours = client_at(url)
    await client.flushall()
    yield Stores(client, ours)
    await ours.aclose()
    await client.aclose()


def client_at(url: str) -> RedisClient:
    settings = make_settings(redis_url=url, redis_timeout_ms=1000)
    return open_client(settings, Outage("redis"))
