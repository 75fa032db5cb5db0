"""access_tokens in Redis, sealed: one per mini-program, for all workers."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from service.core.models import AccessToken
from service.redis.scripts import Script

if TYPE_CHECKING:
    from service.redis.client import RedisClient
    from service.redis.scripts import Scripts
    from service.stores.keyring import Keyring

KEY_PREFIX: Final = "minigate:access-token:"
LOCK_PREFIX: Final = "minigate:access-token-lock:"
_LONGEST_SECONDS: Final = 86_400
"""WeChat gives two hours."""

_LUA: Final = Path(__file__).with_name("lua")
_CLAIM = Script(_LUA / "claim.lua", fenced=False)
_DISCARD = Script(_LUA / "discard.lua", fenced=False)


class RedisAccessTokens:
    """The AccessTokenStore port.

    A record is JSON: `v` the fetch that the token came from, `t` the token,
    sealed, `exp` and `fresh` Unix seconds by the clock of Redis, which all
    workers share.
    """

    def __init__(self, redis: RedisClient, scripts: Scripts, keyring: Keyring) -> None:
        self._redis = redis
        self._scripts = scripts
        self._keyring = keyring

    async def get(self, appid: str) -> AccessToken | None:
        raw = await self._redis.get(KEY_PREFIX + appid)
        if raw is None:
            return None
        now = await self._now(appid)
        try:
            record = orjson.loads(raw)
            version, sealed = str(record["v"]), str(record["t"])
            left, fresh = record["exp"] - now, bool(now < record["fresh"])
        except (ValueError, TypeError, KeyError):
            return None  # not a record: it is replaced
        value = self._keyring.open(sealed, owner=appid)
        if value is None or not 0 < left <= _LONGEST_SECONDS:
            return None
        return AccessToken(value.decode(), version, expires_in=int(left), fresh=fresh)

    async def put(
        self, appid: str, value: str, *, expires_in: int, fresh_for: float
    ) -> AccessToken:
        version, now = secrets.token_hex(8), await self._now(appid)
        record = {
            "v": version,
            "t": self._keyring.seal(value.encode(), owner=appid),
            "exp": now + expires_in,
            "fresh": now + fresh_for,
        }
        await self._redis.set(KEY_PREFIX + appid, orjson.dumps(record), "EX", expires_in)
        return AccessToken(value, version, expires_in=expires_in, fresh=True)

    async def discard(self, appid: str, token: AccessToken) -> None:
        await self._scripts.run_idempotent(_DISCARD, KEY_PREFIX + appid, token.version)

    async def lock(self, appid: str, *, seconds: float) -> str | None:
        lock = secrets.token_hex(8)
        # Not SET NX: sent again after a lost answer, it would say that somebody else has the lock.
        holder = await self._scripts.run_idempotent(
            _CLAIM, LOCK_PREFIX + appid, lock, int(seconds * 1000), "text"
        )
        return lock if holder == lock.encode() else None

    async def unlock(self, appid: str, lock: str) -> None:
        await self._scripts.run_idempotent(_DISCARD, LOCK_PREFIX + appid, lock)

    async def _now(self, appid: str) -> float:
        return await self._scripts.now_ms(KEY_PREFIX + appid) / 1000
