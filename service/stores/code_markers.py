"""Markers that let each code go to WeChat once, whichever worker it reaches.

A marker is JSON: `n` the claim's nonce; where the client can be told from others,
`c` a digest that does so, and `q` one of what it asked for; once WeChat has
answered, `at` with the answer to such a client. Where WeChat knows no such code,
the nonce is empty and nothing else is there: that is so whoever asks. Neither the
code nor a session id nor a phone number can be read from it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.core.errors import SessionStoreUnavailable
from service.core.ids import digest, unique_id
from service.core.models import CodeClaim
from service.redis.scripts import Script

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.redis.client import RedisClient
    from service.redis.scripts import Scripts

_KIND: Final = "code:"
CODE_LIFE_MS: Final = 300_000
"""WeChat forgets a code after five minutes; then so may we."""
UNKNOWN_CODE_LIFE_MS: Final = 30_000
"""Strangers can make up any number of codes, and each takes its place in Redis."""

_LUA: Final = Path(__file__).with_name("lua")
_CLAIM = Script(_LUA / "claim.lua", fenced=False)
_DISCARD = Script(_LUA / "discard.lua", fenced=False)
_IDEMPOTENCY_KIND: Final = "idempotency:"
_UNKNOWN_CODE: Final = orjson.dumps({"n": ""})
_POLL_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 1.0


class CodeMarkers:
    """Claims codes and remembers what became of them."""

    def __init__(self, redis: RedisClient, scripts: Scripts, settings: Settings) -> None:
        self._redis = redis
        self._prefix = redis.prefix + _KIND
        self._idempotency_prefix = redis.prefix + _IDEMPOTENCY_KIND
        self._scripts = scripts
        self._timeout = settings.wechat_timeout_ms / 1000 + _GRACE_SECONDS

    async def claim(
        self, kind: str, appid: str, code: str, *, client: str | None, request: str = ""
    ) -> CodeClaim | dict[str, Any] | None:
        """Win the code; or the marker that the same client left; or None: it is another's.

        Waits for an exchange that the same client has under way for the same
        request; the marker lacks `at` if that never ended. A code that WeChat
        does not know has a marker for everybody. Raises SessionStoreUnavailable.
        """
        key = self._key(kind, appid, code)
        claim = CodeClaim(key, unique_id(), digest(client) if client else "", request)
        deadline = time.monotonic() + self._timeout
        while True:
            marker = await self._put(claim)
            if marker["n"] == claim.nonce:
                return claim
            if is_unknown_code(marker):
                return marker
            if not claim.client or marker.get("c") != claim.client:
                return None
            under_way = "at" not in marker and marker.get("q", request) == request
            if not under_way or time.monotonic() > deadline:
                return marker
            await asyncio.sleep(_POLL_SECONDS)

    async def note(self, claim: CodeClaim, answer: dict[str, Any]) -> None:
        """Keep the answer for a repeat of the request. Never raises."""
        if not claim.client:
            return  # nobody can ask again
        # What was answered stands; without it a repeat will be told that the code is used.
        with suppress(SessionStoreUnavailable):
            marker = {**_marker(claim), **answer, "at": await self._scripts.now_ms(claim.key)}
            await self._redis.set(claim.key, orjson.dumps(marker), "XX", "KEEPTTL")

    async def note_unknown(self, claim: CodeClaim) -> None:
        """Keep for a while, and in little space, that WeChat knows no such code. Never raises."""
        with suppress(SessionStoreUnavailable):
            await self._redis.set(claim.key, _UNKNOWN_CODE, "XX", "PX", UNKNOWN_CODE_LIFE_MS)

    async def release(self, claim: CodeClaim) -> None:
        """Give the code back: WeChat has not used it up. Never raises."""
        with suppress(SessionStoreUnavailable):
            # By the nonce: sent twice, it must not remove the marker of a claim that came since.
            await self._scripts.run_idempotent(_DISCARD, claim.key, claim.nonce)

    async def is_recent(
        self, kind: str, appid: str, code: str, marker: dict[str, Any], *, within_ms: int
    ) -> bool:
        """Whether an answer was noted, and so short a time ago. Raises SessionStoreUnavailable."""
        at = marker.get("at")
        if type(at) is not int:
            return False
        return await self._scripts.now_ms(self._key(kind, appid, code)) - at <= within_ms

    async def claim_key(self, claim: CodeClaim, appid: str, openid: str, *, life_ms: int) -> bool:
        """Whether the client's key stands, from now on at the latest, for what it asks for.

        It is the user's: nobody else has the same one. Raises SessionStoreUnavailable.
        """
        key = self._idempotency_prefix + digest(appid, openid, claim.client)
        stands = await self._scripts.run_idempotent(_CLAIM, key, claim.request, life_ms, "text")
        return bool(stands == claim.request.encode())

    def _key(self, kind: str, appid: str, code: str) -> str:
        return self._prefix + digest(kind, appid, code)

    async def _put(self, claim: CodeClaim) -> dict[str, Any]:
        """The marker that stands after trying to set this claim's."""
        wanted = orjson.dumps(_marker(claim))
        raw = await self._scripts.run_idempotent(_CLAIM, claim.key, wanted, CODE_LIFE_MS, "json")
        try:
            marker: dict[str, Any] = orjson.loads(raw)
            if isinstance(marker["n"], str):
                return marker
        except (ValueError, TypeError, KeyError):
            pass
        raise SessionStoreUnavailable  # the reply to something else


def is_unknown_code(marker: dict[str, Any]) -> bool:
    """Whether WeChat has just said that it knows no such code."""
    return bool(marker["n"] == "")


def _marker(claim: CodeClaim) -> dict[str, Any]:
    marker = {"n": claim.nonce}
    if claim.client:
        marker |= {"c": claim.client, "q": claim.request}
    return marker
