"""Every store under its contract: on fakeredis, on a real redis-server and on a real cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio
from fakeredis import FakeAsyncRedis

from service.core.throttled_log import ThrottledLog
from service.redis.client import RedisClient
from service.redis.connect import open_client
from service.redis.node import Node
from service.redis.scripts import Scripts
from service.redis.topology import SingleNode
from service.stores.code_markers import CodeMarkers
from service.stores.keyring import Keyring
from service.stores.login_codes import RedisLoginCodes
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
    client: RedisClient

    def sessions(self, **overrides: object) -> RedisSessions:
        return RedisSessions(self.client, self.scripts(), make_settings(**overrides))

    def codes(self, **overrides: object) -> RedisLoginCodes:
        return RedisLoginCodes(self._markers(**overrides))

    def phone_codes(self, **overrides: object) -> RedisPhoneCodes:
        keyring = Keyring([SECRET_KEY], purpose="phone")
        return RedisPhoneCodes(self.client, self._markers(**overrides), keyring)

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


@pytest.fixture(
    params=["fakeredis", "redis-server", pytest.param("redis-cluster", marks=LINUX_ONLY)]
)
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    client: Any
    if request.param == "fakeredis":
        client = FakeAsyncRedis()
        ours = RedisClient(
            SingleNode(Node(client, timeout=2.0)), timeout=2.0, log=ThrottledLog("redis")
        )
    elif request.param == "redis-server":
        server: EmbeddedRedis = request.getfixturevalue("redis_server")
        client = redis.asyncio.Redis.from_url(server.url)
        ours = client_at(server.url)
    else:
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        client = redis.asyncio.RedisCluster("127.0.0.1", cluster.nodes[0].port)
        ours = client_at(cluster.url)
    if request.param != "fakeredis":
        await client.flushall()
    yield Stores(client, ours)
    await ours.aclose()
    await client.aclose()


def client_at(url: str) -> RedisClient:
    settings = make_settings(redis_url=url, redis_timeout_ms=1000)
    return open_client(settings, ThrottledLog("redis"))
