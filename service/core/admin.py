"""What operators do: find users, see their sessions, end those, ban and delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.events import Event
    from service.core.models import User, UserIdentity

SearchField = Literal["id", "openid", "unionid", "phone", "nickname"]


class UserPage(NamedTuple):
    """Some of the users that were found."""

    users: Sequence[User]
    next: str
    """What `after` has to be for more; "" where there are none."""


class SessionView(NamedTuple):
    """One session as an operator may see it: neither its id nor a key."""

    handle: str
    appid: str
    device: str
    issued_at: int
    """Unix milliseconds of the login."""
    expires_in: int
    """Whole seconds left."""
    state: Literal["live", "kicked", "banned"]
    key_lost: bool
    """Whether what sealed it has left SECRET_KEYS: it serves, but opens no encryptedData."""


@dataclass(frozen=True, slots=True)
class UserDetails:
    """All that an operator may see of a user."""

    user: User
    identities: Sequence[UserIdentity]
    sessions: Sequence[SessionView]
    events: Sequence[Event]
    """The newest first."""


class SessionsEnded(NamedTuple):
    """What `end_sessions` has done."""

    before: int
    """Unix milliseconds, by the clock of Redis: sessions of logins before it are ended."""
    holds_from: int
    """Unix milliseconds, by the same clock: from then on every worker refuses them."""


class Admin:
    """Every method takes `by`, the operator's name for the event, where it changes something.

    Raises UserNotFound for a user that is not there, SessionStoreUnavailable and
    UserStoreUnavailable; what was raised half-way can be done again.
    """

    async def find(
        self, field: SearchField, value: str, *, limit: int = 50, after: str = ""
    ) -> UserPage:
        """Users by one of five fields; a nickname by what it begins with, the rest exactly.

        `phone`: `13800000001` (China) or `+<country> <number>`.
        """
        raise NotImplementedError

    async def show(self, user_id: str) -> UserDetails:
        """One user: account, what WeChat calls them, sessions, the last events."""
        raise NotImplementedError

    async def kick(
        self, user_id: str, *, by: str, appid: str | None = None, device: str | None = None
    ) -> int:
        """End the user's live sessions, of one app or device class if named; returns how many.

        Their holders are told 40103, with the time.
        """
        raise NotImplementedError

    async def ban(
        self, user_id: str, *, by: str, reason: str = "", until: int | None = None
    ) -> tuple[User, int]:
        """Refuse the user's logins, until a Unix time if given, and end their sessions.

        Returns the user, and how many sessions were ended.
        """
        raise NotImplementedError

    async def unban(self, user_id: str, *, by: str) -> User:
        """Let the user log in again."""
        raise NotImplementedError

    async def delete(self, user_id: str, *, by: str) -> None:
        """Delete the user with sessions, picture and record, as they could themselves."""
        raise NotImplementedError

    async def end_sessions(
        self,
        *,
        by: str,
        appid: str | None = None,
        device: str | None = None,
        before: int | None = None,
    ) -> SessionsEnded:
        """End all sessions that match, of logins before a Unix time in milliseconds (now).

        Their holders are told 40102, on which clients log in again silently. Raises
        UnknownAppid, and InvalidRequest for a device class that is not configured and for
        a time in the future.
        """
        raise NotImplementedError

    async def discard_access_token(self, appid: str, token: str, *, by: str) -> bool:
        """Forget the access_token kept for an app if it is this one; returns whether it was.

        Raises UnknownAppid.
        """
        raise NotImplementedError
