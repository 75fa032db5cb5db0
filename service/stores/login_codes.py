"""Login codes: each goes to WeChat once, and a repeated request finds its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.core.errors import LoginCodeUsed, ServiceError, error_classes
from service.core.models import CodeClaim, PastLogin

if TYPE_CHECKING:
    from service.core.models import LoggedIn
    from service.stores.code_markers import CodeMarkers

REPLAY_MS: Final = 60_000


class RedisLoginCodes:
    """The LoginCodes port; the client is known by its Idempotency-Key."""

    def __init__(self, markers: CodeMarkers) -> None:
        self._markers = markers

    async def claim(
        self, appid: str, code: str, *, idempotency_key: str | None
    ) -> CodeClaim | PastLogin:
        claim = await self._markers.claim("login", appid, code, client=idempotency_key)
        if isinstance(claim, CodeClaim):
            return claim
        if claim is None or "at" not in claim:
            raise LoginCodeUsed
        if await self._markers.age_ms("login", appid, code, claim) > REPLAY_MS:
            raise LoginCodeUsed
        try:
            if "e" in claim:
                raise error_classes()[claim["e"]].again(claim["data"], claim["wait"])
            return PastLogin(claim["h"], claim["d"], claim["x"], claim["u"], claim["new"])
        except KeyError:
            raise LoginCodeUsed from None  # another version of this service noted it

    async def succeed(self, claim: CodeClaim, answer: LoggedIn) -> None:
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
        answer = {"e": error.code, "data": error.data, "wait": error.retry_after}
        await self._markers.note(claim, answer)

    async def release(self, claim: CodeClaim) -> None:
        await self._markers.release(claim)
