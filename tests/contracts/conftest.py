"""Every store under its contract: on fakeredis, on a real redis-server and on a real cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio
from fakeredis import FakeAsyncRedis

from service.redis.client import Keyspace
from service.redis.connect import open_keyspace
from service.redis.node import Primary
from service.redis.scripts import Scripts
from service.redis.topology import OnePrimary
from service.stores.code_markers import CodeMarkers
from service.stores.keyring import Keyring
from service.stores.login_codes import RedisLoginCodes
from service.stores.outage import OutageLog
from service.stores.phone_codes import RedisPhoneCodes
from service.stores.sessions import RedisSessions
from tests.support.process import LINUX_ONLY
from tests.support.settings import SECRET_KEY, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.redis_cluster import RedisCluster


@dataclass
class Stores:
    """Makes stores over one Redis, each as another worker would have it."""

    redis: Redis
    """To look behind them."""
    keyspace: Keyspace

    def sessions(self, **overrides: object) -> RedisSessions:
        return RedisSessions(
            self.keyspace, make_settings(**overrides), self.scripts(), OutageLog("redis")
        )

    def codes(self, **overrides: object) -> RedisLoginCodes:
        return RedisLoginCodes(self._markers(**overrides))

    def phone_codes(self, **overrides: object) -> RedisPhoneCodes:
        keyring = Keyring([SECRET_KEY], purpose="phone")
        outage = OutageLog("redis")
        return RedisPhoneCodes(self.keyspace, self._markers(**overrides), keyring, outage)

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
        return Scripts(self.keyspace, outage=OutageLog("redis"))

    def _markers(self, **overrides: object) -> CodeMarkers:
        settings = make_settings(**overrides)
        return CodeMarkers(self.keyspace, settings, self.scripts(), OutageLog("redis"))


@pytest.fixture(
    params=["fakeredis", "redis-server", pytest.param("redis-cluster", marks=LINUX_ONLY)]
)
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    client: Any
    if request.param == "fakeredis":
        client = FakeAsyncRedis()
        keyspace = Keyspace(OnePrimary(Primary(client)), budget=2.0)
    elif request.param == "redis-server":
        server: EmbeddedRedis = request.getfixturevalue("redis_server")
        client = redis.asyncio.Redis.from_url(server.url)
        keyspace = keyspace_at(server.url)
    else:
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        client = redis.asyncio.RedisCluster("127.0.0.1", cluster.nodes[0].port)
        keyspace = keyspace_at(cluster.url)
    if request.param != "fakeredis":
        await client.flushall()
    yield Stores(client, keyspace)
    await keyspace.aclose()
    await client.aclose()


def keyspace_at(url: str) -> Keyspace:
    settings = make_settings(redis_url=url, redis_timeout_ms=1000)
    return open_keyspace(settings, OutageLog("redis"))
