"""Markers of encryptedData that has been used, shared by all workers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core.encrypted_data import CLOCK_SKEW_SECONDS, ciphertext_of
from service.core.errors import SessionStoreUnavailable
from service.core.ids import digest, unique_id
from service.redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.core.models import Encrypted
    from service.redis.client import RedisClient
    from service.redis.scripts import Scripts

_KIND: Final = "used:"

_LUA: Final = Path(__file__).with_name("lua")
_CLAIM = Script(_LUA / "claim.lua", fenced=False)
_DISCARD = Script(_LUA / "discard.lua", fenced=False)
_USED: Final = b"used"
_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 1.0


class RedisUsedData:
    """The UsedData port. A marker holds who is about to use the data, then `used`."""

    def __init__(self, redis: RedisClient, scripts: Scripts, *, max_age: int) -> None:
        """`max_age`: seconds for which data is taken; markers live as long."""
        self._redis = redis
        self._scripts = scripts
        self._prefix = redis.prefix + _KIND
        self._life_ms = (max_age + CLOCK_SKEW_SECONDS) * 1000

    @asynccontextmanager
    async def use(self, user: str, encrypted: Encrypted) -> AsyncIterator[bool]:
        key, nonce = self._prefix + digest(user, ciphertext_of(encrypted)), unique_id()
        if not await self._claim(key, nonce):
            yield False
            return
        try:
            yield True
        except BaseException:
            with suppress(SessionStoreUnavailable):
                await self._scripts.run_idempotent(_DISCARD, key, nonce)
            raise
        with suppress(SessionStoreUnavailable):  # whoever asks again waits in vain, and is told so
            await self._redis.set(key, _USED, "XX", "KEEPTTL")

    async def _claim(self, key: str, nonce: str) -> bool:
        """Whether the right is won; else the data is used, or its use does not end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_SECONDS
        while True:
            marker = await self._scripts.run_idempotent(_CLAIM, key, nonce, self._life_ms)
            if marker == nonce.encode():
                return True
            if marker == _USED or loop.time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
