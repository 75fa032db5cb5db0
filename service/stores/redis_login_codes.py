"""Markers that let each login code go to WeChat once, whichever worker it reaches."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.errors import (
    LoginCodeUsed,
    ServiceError,
    SessionStoreUnavailable,
    error_classes,
)
from service.models import CodeClaim, PastLogin
from service.stores.scripts import Script

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from service.models import OpenedSession
    from service.settings import Settings
    from service.stores.redis_connection import OutageLog
    from service.stores.scripts import Scripts

KEY_PREFIX: Final = "minigate:code:"
CODE_LIFE_MS: Final = 300_000
"""WeChat forgets a code after five minutes; then so may we."""
REPLAY_MS: Final = 60_000

_CLAIM = Script("claim")
_POLL_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 1.0


class RedisLoginCodes:
    """The LoginCodes port over redis-py.

    A marker is JSON: `n` the claim's nonce, `c` digest of the Idempotency-Key,
    and once answered `at` with either `e`, an error code, or the session as
    `h`, `d`, `x` (handle, digest, seconds left). Neither code nor session id
    can be read from it.
    """

    def __init__(
        self, redis: Redis, settings: Settings, scripts: Scripts, outage: OutageLog
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._outage = outage
        self._patience = settings.wechat_timeout_ms / 1000 + _GRACE_SECONDS

    async def claim(
        self, appid: str, code: str, *, idempotency_key: str | None
    ) -> CodeClaim | PastLogin:
        """Win the right to exchange `code`, or learn how that went for the same client.

        Waits for an exchange that the same client has under way. Raises
        LoginCodeUsed when the code is another request's, the error that the
        same client was answered, or SessionStoreUnavailable.
        """
        client = _digest(idempotency_key) if idempotency_key else ""
        claim = CodeClaim(KEY_PREFIX + _digest(f"{appid}\0{code}"), secrets.token_hex(8), client)
        marker = await self._stand(claim)
        if marker["n"] == claim.nonce:
            return claim
        if not client or marker["c"] != client:
            raise LoginCodeUsed
        return await self._replay(await self._answered(claim, marker))

    async def succeed(self, claim: CodeClaim, opened: OpenedSession) -> None:
        """Keep the answer for a repeat of the request."""
        session_id = opened.session_id
        answer = {"h": session_id.handle, "d": session_id.digest, "x": opened.expires_in}
        await self._note(claim, answer)

    async def fail(self, claim: CodeClaim, error: ServiceError) -> None:
        """Keep the refusal for a repeat of the request."""
        await self._note(claim, {"e": error.code})

    async def release(self, claim: CodeClaim) -> None:
        """Give the code back: WeChat has not seen it."""
        try:
            await self._redis.delete(claim.key)
        except Exception as fault:
            self._outage.failed("release", fault)

    async def _stand(self, claim: CodeClaim) -> dict[str, Any]:
        """The marker that stands after trying to set this claim's."""
        marker = orjson.dumps({"n": claim.nonce, "c": claim.client})
        try:
            return _read(await self._scripts.repeatable(_CLAIM, claim.key, marker, CODE_LIFE_MS))
        except Exception as fault:
            self._outage.failed("claim", fault)
            raise SessionStoreUnavailable from fault

    async def _answered(self, claim: CodeClaim, marker: dict[str, Any]) -> dict[str, Any]:
        """The marker once its exchange is through, or after all patience."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        while "at" not in marker and loop.time() < give_up:
            await asyncio.sleep(_POLL_SECONDS)
            marker = await self._stand(claim)
        return marker

    async def _replay(self, marker: dict[str, Any]) -> PastLogin:
        if await self._scripts.now_ms() - marker.get("at", 0) > REPLAY_MS:
            raise LoginCodeUsed
        if "e" in marker:
            raise error_classes()[marker["e"]]
        return PastLogin(marker["h"], marker["d"], marker["x"])

    async def _note(self, claim: CodeClaim, answer: dict[str, Any]) -> None:
        if not claim.client:
            return  # nobody can ask again
        marker = {"n": claim.nonce, "c": claim.client, **answer}
        try:
            marker["at"] = await self._scripts.now_ms()
            await self._redis.set(claim.key, orjson.dumps(marker), xx=True, keepttl=True)
        except Exception as fault:
            # The login itself stands; a repeat will be told that the code is used.
            self._outage.failed("note", fault)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:22].decode()


def _read(raw: Any) -> dict[str, Any]:
    marker: dict[str, Any] = orjson.loads(raw)
    if not isinstance(marker["n"], str) or not isinstance(marker["c"], str):
        raise TypeError
    return marker
