"""What the use cases need from the outside, and how each need may fail.

Adapters do not import these; bootstrap hands adapters over under these types,
so that mypy holds the two against each other. Expected outcomes are return
values or the errors named with the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from service.errors import ServiceError
    from service.models import (
        CodeClaim,
        OpenedSession,
        PastLogin,
        Session,
        SessionId,
        WeChatApp,
        WeChatIdentity,
    )


class SessionStore(Protocol):
    """One session per user, mini-program and device class.

    Every method raises SessionStoreUnavailable when the store does not answer;
    a change that raised it has not happened and will not happen later, unless
    only its confirmation was lost.
    """

    async def open(self, identity: WeChatIdentity, *, appid: str, device: str) -> OpenedSession:
        """Log in. From the return on, exactly this session of the user is live.

        Logins of one user within the coalescing window get the same session;
        its session_key is the newest, the one before it is kept beside it.
        """
        ...

    async def validate(self, session_id: SessionId) -> Session:
        """The live session; raises SessionReplaced, -Expired, -Kicked or UserBanned."""
        ...

    async def close(self, session_id: SessionId) -> bool:
        """Log out this very session, never a newer one; False when it was not live."""
        ...

    async def end(self, handle: str, reason: Literal["kicked", "banned"]) -> bool:
        """End whatever lives under `handle`; False when nothing did."""
        ...

    async def recall(self, handle: str, digest: str) -> SessionId | None:
        """The id of a session by its digest; None when it does not live any more."""
        ...

    async def ping(self) -> None:
        """Return when the store answers."""
        ...


class LoginCodes(Protocol):
    """Lets each login code go to WeChat once."""

    async def claim(
        self, appid: str, code: str, *, idempotency_key: str | None
    ) -> CodeClaim | PastLogin:
        """Win the code, or learn what the same client was answered before.

        Raises LoginCodeUsed when another request has or had it,
        the error that the same client was answered, SessionStoreUnavailable.
        """
        ...

    async def succeed(self, claim: CodeClaim, opened: OpenedSession) -> None:
        """Remember the answer for a minute. Never raises: the login stands."""
        ...

    async def fail(self, claim: CodeClaim, error: ServiceError) -> None:
        """Remember the refusal for a minute. Never raises."""
        ...

    async def release(self, claim: CodeClaim) -> None:
        """Give back a code that WeChat has not seen. Never raises."""
        ...


class WeChat(Protocol):
    """WeChat's server API."""

    async def code2session(self, app: WeChatApp, js_code: str) -> WeChatIdentity:
        """Exchange a code.

        Raises LoginCodeInvalid, LoginCodeUsed, WeChatUserBlocked,
        WeChatRateLimited, WeChatMisconfigured, WeChatUnavailable or WeChatBusy.
        """
        ...
