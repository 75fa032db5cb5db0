"""access_tokens in Redis, sealed: one per mini-program, for all workers."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from service.core.models import AccessToken
from service.core.throttled_log import ThrottledLog
from service.redis.scripts import Script

if TYPE_CHECKING:
    from service.redis.client import RedisClient
    from service.redis.scripts import Scripts
    from service.stores.keyring import Keyring

_KIND: Final = "access-token:"
_LOCK_KIND: Final = "access-token-lock:"
_LONGEST_SECONDS: Final = 86_400
"""WeChat gives two hours."""

_FOREIGN: Final = (
    "a service with other SECRET_KEYS keeps it in this Redis: give each its own REDIS_PREFIX, or"
    " both the same SECRET_KEYS"
)

_LUA: Final = Path(__file__).with_name("lua")
_CLAIM = Script(_LUA / "claim.lua", fenced=False)
_DISCARD = Script(_LUA / "discard.lua", fenced=False)


class _Record(NamedTuple):
    """What is kept of a token. Times are Unix seconds by the clock of Redis."""

    version: str
    """Of the fetch that it came from."""
    sealed: str
    expires: float
    fresh_until: float

    @classmethod
    def read(cls, raw: bytes) -> _Record | None:
        """None for what is no record."""
        try:
            record = orjson.loads(raw)
            return cls(
                str(record["v"]), str(record["t"]), float(record["exp"]), float(record["fresh"])
            )
        except (ValueError, TypeError, KeyError):
            return None

    def write(self) -> bytes:
        return orjson.dumps(
            {"v": self.version, "t": self.sealed, "exp": self.expires, "fresh": self.fresh_until}
        )

    def lives(self, now: float) -> bool:
        return 0 < self.expires - now <= _LONGEST_SECONDS


class RedisAccessTokens:
    """The AccessTokenStore port.

    A record is JSON: `v` the fetch that the token came from, `t` the token,
    sealed, `exp` and `fresh` Unix seconds by the clock of Redis, which all
    workers share.

    Where another service, with other secret keys, keeps its own there, that one
    stays, and each worker of this one keeps its token to itself: they would
    otherwise overwrite each other's, and fetch one with every call.
    """

    def __init__(self, redis: RedisClient, scripts: Scripts, keyring: Keyring) -> None:
        self._redis = redis
        self._prefix = redis.prefix + _KIND
        self._lock_prefix = redis.prefix + _LOCK_KIND
        self._scripts = scripts
        self._keyring = keyring
        self._own: dict[str, _Record] = {}
        """Of each mini-program whose place in Redis is taken."""
        self._log = ThrottledLog("access_token")

    async def get(self, appid: str) -> AccessToken | None:
        raw = await self._redis.get(self._prefix + appid)
        record = _Record.read(raw) if raw is not None else None
        now = await self._now(appid)
        if record is None or not record.lives(now):
            return None  # not a record, or an old one: it is replaced
        token = self._opened(appid, record, now)
        if token is None:
            self._log.warn("not ours", _FOREIGN)
            own = self._own.get(appid)
            return self._opened(appid, own, now) if own and own.lives(now) else None
        self._own.pop(appid, None)
        return token

    async def put(
        self, appid: str, value: str, *, expires_in: int, fresh_for: float
    ) -> AccessToken:
        now = await self._now(appid)
        record = _Record(
            secrets.token_hex(8),
            self._keyring.seal(value.encode(), owner=appid),
            now + expires_in,
            now + fresh_for,
        )
        if await self._is_taken(appid, now):
            self._own[appid] = record
        else:
            await self._redis.set(self._prefix + appid, record.write(), "EX", expires_in)
        return AccessToken(value, record.version, expires_in=expires_in, fresh=True)

    async def discard(self, appid: str, token: AccessToken) -> None:
        own = self._own.get(appid)
        if own is not None and own.version == token.version:
            del self._own[appid]
        await self._scripts.run_idempotent(_DISCARD, self._prefix + appid, token.version)

    async def discard_value(self, appid: str, value: str) -> bool:
        token = await self.get(appid)
        if token is None or not hmac.compare_digest(token.value.encode(), value.encode()):
            return False
        await self.discard(appid, token)
        return True

    async def lock(self, appid: str, *, seconds: float) -> str | None:
        lock = secrets.token_hex(8)
        # Not SET NX: sent again after a lost answer, it would say that somebody else has the lock.
        holder = await self._scripts.run_idempotent(
            _CLAIM, self._lock_prefix + appid, lock, int(seconds * 1000), "text"
        )
        return lock if holder == lock.encode() else None

    async def unlock(self, appid: str, lock: str) -> None:
        await self._scripts.run_idempotent(_DISCARD, self._lock_prefix + appid, lock)

    async def _is_taken(self, appid: str, now: float) -> bool:
        """Whether the record of another service is there."""
        raw = await self._redis.get(self._prefix + appid)
        record = _Record.read(raw) if raw is not None else None
        return bool(record and record.lives(now) and self._opened(appid, record, now) is None)

    def _opened(self, appid: str, record: _Record, now: float) -> AccessToken | None:
        """None for one that another service has sealed."""
        value = self._keyring.open(record.sealed, owner=appid)
        if value is None:
            return None
        left = int(record.expires - now)
        return AccessToken(
            value.decode(), record.version, expires_in=left, fresh=now < record.fresh_until
        )

    async def _now(self, appid: str) -> float:
        return await self._scripts.now_ms(self._prefix + appid) / 1000
