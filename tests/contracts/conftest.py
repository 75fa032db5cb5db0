"""Every store under its contract: on fakeredis and on a real redis-server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fakeredis import FakeAsyncRedis

from service.stores.keyring import Keyring
from service.stores.outage import OutageLog
from service.stores.redis_codes import CodeMarkers, RedisLoginCodes, RedisPhoneCodes
from service.stores.redis_connection import connect
from service.stores.redis_sessions import RedisSessions
from service.stores.scripts import Scripts
from tests.support.settings import SECRET_KEY, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from service.embedded_redis import EmbeddedRedis


@dataclass
class Stores:
    """Makes stores over one Redis, each as another worker would have it."""

    redis: Redis

    def sessions(self, **overrides: object) -> RedisSessions:
        return RedisSessions(
            self.redis, make_settings(**overrides), self._scripts(), OutageLog("redis")
        )

    def codes(self, **overrides: object) -> RedisLoginCodes:
        return RedisLoginCodes(self._markers(**overrides))

    def phone_codes(self, **overrides: object) -> RedisPhoneCodes:
        keyring = Keyring([SECRET_KEY], purpose="phone")
        return RedisPhoneCodes(self.redis, self._markers(**overrides), keyring, OutageLog("redis"))

    async def raw(self, key: str | bytes) -> bytes:
        """The value of a key that is there."""
        value = await self.redis.get(key)
        assert isinstance(value, bytes)
        return value

    async def everything(self) -> dict[bytes, bytes]:
        """All keys and their values."""
        keys = [key async for key in self.redis.scan_iter()]
        return {key: await self.raw(key) for key in keys}

    def _markers(self, **overrides: object) -> CodeMarkers:
        settings = make_settings(**overrides)
        return CodeMarkers(self.redis, settings, self._scripts(), OutageLog("redis"))

    def _scripts(self) -> Scripts:
        return Scripts(self.redis, budget=2.0, outage=OutageLog("redis"))


@pytest.fixture(params=["fakeredis", "redis-server"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    client: Any
    if request.param == "fakeredis":
        client = FakeAsyncRedis()
    else:
        server: EmbeddedRedis = request.getfixturevalue("redis_server")
        client = connect(make_settings(redis_url=server.url, redis_timeout_ms=2000))
        await client.flushall()
    yield Stores(client)
    await client.aclose()
