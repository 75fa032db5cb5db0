"""Markers that let each code go to WeChat once, whichever worker it reaches.

A marker is JSON: `n` the claim's nonce, `c` a digest that tells the client from
others and, once WeChat has answered, `at` with the answer. Neither the code nor
a session id nor a phone number can be read from it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.core.errors import (
    LoginCodeUsed,
    PhoneCodeInvalid,
    ServiceError,
    SessionStoreUnavailable,
    error_classes,
)
from service.core.ids import unique_word
from service.core.models import CodeClaim, PastLogin, Phone
from service.redis.scripts import Script

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.core.models import LoggedIn
    from service.redis.client import Keyspace
    from service.redis.scripts import Scripts
    from service.stores.keyring import Keyring
    from service.stores.outage import OutageLog

KEY_PREFIX: Final = "minigate:code:"
NUMBER_PREFIX: Final = "minigate:number:"
CODE_LIFE_MS: Final = 300_000
"""WeChat forgets a code after five minutes; then so may we."""
REPLAY_MS: Final = 60_000

_CLAIM = Script("claim")
_DISCARD = Script("discard")
_POLL_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 1.0


class CodeMarkers:
    """Claims codes and remembers what became of them."""

    def __init__(
        self, redis: Keyspace, settings: Settings, scripts: Scripts, outage: OutageLog
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._outage = outage
        self._patience = settings.wechat_timeout_ms / 1000 + _GRACE_SECONDS

    async def claim(
        self, kind: str, appid: str, code: str, *, client: str | None
    ) -> CodeClaim | dict[str, Any] | None:
        """Win the code; or the marker that the same client left; or None: it is another's.

        Waits for an exchange that the same client has under way; the marker
        lacks `at` if that never ended. Raises SessionStoreUnavailable.
        """
        key = _key(kind, appid, code)
        claim = CodeClaim(key, unique_word(), _digest(client) if client else "")
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        while True:
            marker = await self._stand(claim)
            if marker["n"] == claim.nonce:
                return claim
            if not claim.client or marker["c"] != claim.client:
                return None
            if "at" in marker or loop.time() > give_up:
                return marker
            await asyncio.sleep(_POLL_SECONDS)

    async def note(self, claim: CodeClaim, answer: dict[str, Any]) -> None:
        """Keep the answer for a repeat of the request. Never raises."""
        if not claim.client:
            return  # nobody can ask again
        marker = {"n": claim.nonce, "c": claim.client, **answer}
        try:
            marker["at"] = await self._scripts.now_ms(claim.key)
            await self._redis.set(claim.key, orjson.dumps(marker), "XX", "KEEPTTL")
        except Exception as fault:
            # What was answered stands; a repeat will be told that the code is used.
            self._outage.failed("note", fault)

    async def release(self, claim: CodeClaim) -> None:
        """Give the code back: WeChat has not used it up. Never raises."""
        try:
            # Sent again, it may come when somebody else has won the code: not theirs as well.
            await self._scripts.repeatable(_DISCARD, claim.key, claim.nonce)
        except Exception as fault:
            self._outage.failed("release", fault)

    async def age_ms(self, kind: str, appid: str, code: str, marker: dict[str, Any]) -> int:
        """How long ago the answer was noted."""
        return await self._scripts.now_ms(_key(kind, appid, code)) - int(marker["at"])

    async def _stand(self, claim: CodeClaim) -> dict[str, Any]:
        """The marker that stands after trying to set this claim's."""
        wanted = orjson.dumps({"n": claim.nonce, "c": claim.client})
        try:
            raw = await self._scripts.repeatable(_CLAIM, claim.key, wanted, CODE_LIFE_MS)
            marker: dict[str, Any] = orjson.loads(raw)
            if not isinstance(marker["n"], str) or not isinstance(marker["c"], str):
                raise TypeError
        except Exception as fault:
            self._outage.failed("claim", fault)
            raise SessionStoreUnavailable from fault
        return marker


class RedisLoginCodes:
    """The LoginCodes port; the client is known by its Idempotency-Key."""

    def __init__(self, markers: CodeMarkers) -> None:
        self._markers = markers

    async def claim(
        self, appid: str, code: str, *, idempotency_key: str | None
    ) -> CodeClaim | PastLogin:
        """Win the code, or learn what the same client was answered before.

        Raises LoginCodeUsed when the code is another request's, the error that
        the same client was answered, or SessionStoreUnavailable.
        """
        claim = await self._markers.claim("login", appid, code, client=idempotency_key)
        if isinstance(claim, CodeClaim):
            return claim
        if claim is None or "at" not in claim:
            raise LoginCodeUsed
        if await self._markers.age_ms("login", appid, code, claim) > REPLAY_MS:
            raise LoginCodeUsed
        if "e" in claim:
            raise error_classes()[claim["e"]].again(claim["data"], claim["wait"])
        return PastLogin(claim["h"], claim["d"], claim["x"], claim["u"], claim["new"])

    async def succeed(self, claim: CodeClaim, answer: LoggedIn) -> None:
        """Keep the answer for a repeat of the request."""
        session_id = answer.session_id
        await self._markers.note(
            claim,
            {
                "h": session_id.handle,
                "d": session_id.digest,
                "x": answer.expires_in,
                "u": answer.user.id,
                "new": answer.is_new,
            },
        )

    async def fail(self, claim: CodeClaim, error: ServiceError) -> None:
        """Keep the refusal for a repeat of the request."""
        answer = {"e": error.code, "data": error.data, "wait": error.retry_after}
        await self._markers.note(claim, answer)

    async def release(self, claim: CodeClaim) -> None:
        """Give the code back."""
        await self._markers.release(claim)


class RedisPhoneCodes:
    """The PhoneCodes port; the client is known by its openid.

    What WeChat answered is kept as long as the code would have lived, because
    each answer costs the operator money: sealed, beside a digest of the code,
    under a key of the user's, so that it can be forgotten with the user.
    """

    def __init__(
        self, redis: Keyspace, markers: CodeMarkers, keyring: Keyring, outage: OutageLog
    ) -> None:
        self._redis = redis
        self._markers = markers
        self._keyring = keyring
        self._outage = outage

    async def claim(self, appid: str, code: str, *, openid: str) -> CodeClaim | Phone:
        """Win the code, or the number that it stood for when the same user sent it before.

        Raises PhoneCodeInvalid when it is another user's or was refused, and
        SessionStoreUnavailable.
        """
        claim = await self._markers.claim("phone", appid, code, client=f"{appid}\0{openid}")
        if isinstance(claim, CodeClaim):
            return claim
        number = await self._number(_digest("phone", appid, code), claim["c"]) if claim else None
        if number is None:
            raise PhoneCodeInvalid
        return Phone(number)

    async def succeed(self, claim: CodeClaim, phone: Phone) -> None:
        """Keep the number for a repeat of the request."""
        code = claim.key.removeprefix(KEY_PREFIX)
        sealed = self._keyring.seal(phone.number.encode(), owner=code)
        try:
            await self._redis.set(
                NUMBER_PREFIX + claim.client, f"{code} {sealed}", "PX", CODE_LIFE_MS
            )
        except Exception as fault:
            self._outage.failed("keep", fault)
        await self._markers.note(claim, {})

    async def fail(self, claim: CodeClaim) -> None:
        """Keep that WeChat refused the code."""
        await self._markers.note(claim, {})

    async def release(self, claim: CodeClaim) -> None:
        """Give the code back."""
        await self._markers.release(claim)

    async def forget(self, appid: str, openid: str) -> None:
        """Forget the number that a user's code brought; raises SessionStoreUnavailable."""
        await self._on_redis(self._redis.delete(NUMBER_PREFIX + _digest(appid, openid)))

    async def _number(self, code: str, client: str) -> str | None:
        kept = await self._on_redis(self._redis.get(NUMBER_PREFIX + client))
        of_code, _, sealed = kept.decode().partition(" ") if kept else ("", "", "")
        number = self._keyring.open(sealed, owner=code) if of_code == code else None
        return number.decode() if number else None

    async def _on_redis(self, call: Any) -> Any:
        try:
            return await call
        except Exception as fault:
            self._outage.failed("phone code", fault)
            raise SessionStoreUnavailable from fault


def _key(kind: str, appid: str, code: str) -> str:
    return f"{KEY_PREFIX}{_digest(kind, appid, code)}"


def _digest(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.urlsafe_b64encode(digest)[:22].decode()
