"""Login codes: each goes to WeChat once, and a repeated request finds its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.core.errors import (
    IdempotencyKeyReused,
    LoginCodeInvalid,
    LoginCodeUsed,
    ServiceError,
    error_classes,
)
from service.core.models import CodeClaim, PastLogin
from service.stores.code_markers import is_unknown_code

if TYPE_CHECKING:
    from service.core.models import LoggedIn
    from service.stores.code_markers import CodeMarkers

REPLAY_MS: Final = 60_000
_LONGEST_LOGIN_MS: Final = 10_000
"""A key is claimed that much sooner than its request is answered, at most."""
_KEY_LIFE_MS: Final = REPLAY_MS + _LONGEST_LOGIN_MS


class RedisLoginCodes:
    """The LoginCodes port; the client is known by its Idempotency-Key."""

    def __init__(self, markers: CodeMarkers) -> None:
        self._markers = markers

    async def claim(
        self, appid: str, code: str, *, idempotency_key: str | None, request: str = ""
    ) -> CodeClaim | PastLogin:
        claim = await self._markers.claim(
            "login", appid, code, client=idempotency_key, request=request
        )
        if isinstance(claim, CodeClaim):
            return claim
        if claim is None:
            raise LoginCodeUsed
        if is_unknown_code(claim):
            raise LoginCodeInvalid
        if claim.get("q", request) != request:  # a former version of this service left it out
            raise IdempotencyKeyReused
        if not await self._markers.is_recent("login", appid, code, claim, within_ms=REPLAY_MS):
            raise LoginCodeUsed
        return _answer(claim)

    async def claim_key(self, claim: CodeClaim, appid: str, openid: str) -> None:
        if claim.client and not await self._markers.claim_key(
            claim, appid, openid, life_ms=_KEY_LIFE_MS
        ):
            raise IdempotencyKeyReused

    async def succeed(self, claim: CodeClaim, answer: LoggedIn) -> None:
        if not claim.client:
            return  # nobody can ask again
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
        if isinstance(error, LoginCodeInvalid):
            await self._markers.note_unknown(claim)
            return
        answer = {"e": error.code, "data": error.data, "wait": error.retry_after}
        await self._markers.note(claim, answer)

    async def release(self, claim: CodeClaim) -> None:
        await self._markers.release(claim)


def _answer(marker: dict[str, Any]) -> PastLogin:
    """What a marker says that the client was answered; raises the error that it was."""
    match marker:
        case {"e": int(code), "data": dict() | None as data, "wait": int() | None as wait}:
            if code in error_classes():
                raise error_classes()[code].again(data, wait)
        case {"h": str(handle), "d": str(told), "x": int(left), "u": str(user), "new": bool(new)}:
            return PastLogin(handle, told, left, user, is_new=new)
    raise LoginCodeUsed  # another version of this service noted it
