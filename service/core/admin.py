"""What operators do: find users, see their sessions, end those, ban and delete."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

from service.core.ban import check_until, clean_reason
from service.core.errors import InvalidRequest, UnknownAppid, UserNotFound
from service.core.models import SearchField, SessionsEnded, SessionView, UserPage
from service.core.search_value import is_name, search_value
from service.core.session_places import session_places
from service.core.why import why_logged_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from service.core.background import BackgroundTasks
    from service.core.deletion import Deletion
    from service.core.events import Event, EventHistory, Events
    from service.core.lifetime import Lifetime
    from service.core.models import User, UserIdentity, WeChatApp
    from service.core.ports import AccessTokenStore, SessionMarks, SessionStore, UserStore
    from service.core.session_places import SessionPlace
    from service.core.session_story import SessionEnd

__all__ = ["Admin", "SearchField", "SessionView", "SessionsEnded", "UserDetails", "UserPage"]

_MOST_USERS: Final = 200
"""On a page."""
_LAST_EVENTS: Final = 50
_EARLIEST_MS: Final = 1_000_000_000_000
"""In 2001."""


@dataclass(frozen=True, slots=True)
class UserDetails:
    """All that an operator may see of a user."""

    user: User
    identities: Sequence[UserIdentity]
    sessions: Sequence[SessionView]
    events: Sequence[Event]
    """The newest first."""


class Admin:
    """Every method takes `by`, the operator's name for the event, where it changes something.

    Raises UserNotFound for a user that is not there, SessionStoreUnavailable and
    UserStoreUnavailable; what was raised half-way can be done again. What has begun goes
    on when its caller is cancelled.
    """

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        devices: Sequence[str],
        users: UserStore,
        sessions: SessionStore,
        marks: SessionMarks,
        access_tokens: AccessTokenStore,
        lifetime: Lifetime,
        deletion: Deletion,
        events: Events,
        history: EventHistory,
        background: BackgroundTasks,
    ) -> None:
        """`apps` by appid; `devices` are the device classes, `lifetime` that of a new session."""
        self._apps = apps
        self._devices = devices
        self._users = users
        self._sessions = sessions
        self._marks = marks
        self._access_tokens = access_tokens
        self._lifetime = lifetime
        self._deletion = deletion
        self._events = events
        self._history = history
        self._background = background

    async def find(
        self, field: SearchField, value: str, *, limit: int = 50, after: str = ""
    ) -> UserPage:
        """Users by one of five fields; a nickname by what it begins with, the rest exactly.

        `phone`: `13800000001` (China) or `+<country> <number>`. `limit`: users at most, up to
        200. Raises InvalidRequest.
        """
        if not 1 <= limit <= _MOST_USERS:
            raise InvalidRequest("limit", f"from 1 to {_MOST_USERS}")
        wanted = search_value(field, value)
        return await self._users.find(field, wanted, limit=limit, after=after)

    async def show(self, user_id: str) -> UserDetails:
        """One user: account, what WeChat calls them, sessions, the last events."""
        user = await self._user(user_id)
        identities = await self._users.identities(user.id)
        handles = [place.handle for place in session_places(identities, self._devices)]
        sessions, events = await asyncio.gather(
            self._sessions.view(handles),
            self._history.find(user=user.id, handles=handles, limit=_LAST_EVENTS),
        )
        return UserDetails(user, identities, sessions, events)

    async def why(self, user_id: str, *, zone: tzinfo = UTC) -> Sequence[SessionEnd]:
        """Each end of a session of this user that the events tell, the newest first.

        Also of a user who has been deleted. `zone`: for times in the sentences.
        """
        user = await self._users.get(user_id) if is_name(user_id) else None
        handles = [place.handle for place in await self._places(user)] if user else []
        ban = user.ban if user else None
        return await why_logged_out(
            self._history,
            user=user_id,
            sessions=await self._sessions.view(handles),
            handles=handles,
            lifetime=self._lifetime,
            now=time.time_ns() // 1_000_000,
            ban_until=ban.until if ban and ban.holds else None,
            zone=zone,
        )

    async def kick(
        self, user_id: str, *, by: str, appid: str | None = None, device: str | None = None
    ) -> int:
        """End the user's live sessions, of one app or device class if named; returns how many.

        Their holders are told 40103, with the time. Raises UnknownAppid, and InvalidRequest
        for a device class that is not configured.
        """
        if appid is not None and appid not in self._apps:
            raise UnknownAppid
        if device is not None and device not in self._devices:
            raise InvalidRequest("device", f"one of {', '.join(self._devices)}")
        kicking = self._kick(user_id, by, appid, device)
        return await self._background.run_to_completion(kicking)

    async def ban(
        self, user_id: str, *, by: str, reason: str = "", until: int | None = None
    ) -> tuple[User, int]:
        """Refuse the user's logins, until a Unix time if given, and end their sessions.

        In place of a ban that there is. Returns the user, and how many sessions were ended.
        `reason` is for operators; over 200 characters are cut off. Raises InvalidRequest for
        an `until` that has passed.
        """
        check_until(until)
        banning = self._ban(user_id, by, clean_reason(reason), until)
        return await self._background.run_to_completion(banning)

    async def unban(self, user_id: str, *, by: str) -> User:
        """Let the user log in again."""
        return await self._background.run_to_completion(self._unban(user_id, by))

    async def delete(self, user_id: str, *, by: str) -> None:
        """Delete the user with sessions, picture and record, as they could themselves."""
        await self._background.run_to_completion(self._delete(user_id, by))

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
        a time in the future, or that cannot be one in milliseconds.
        """
        if appid is not None:
            self._app(appid)
        if device is not None and device not in self._devices:
            raise InvalidRequest("device", f"one of {', '.join(self._devices)}")
        if before is not None and before < _EARLIEST_MS:  # seconds would end nothing, silently
            raise InvalidRequest("before", "Unix milliseconds")
        ended = await self._marks.end(appid or "", device or "", before)
        self._events.record(
            "sessions_ended",
            appid=appid or "",
            device=device or "",
            reason=f"before={ended.before}",
            by=by,
        )
        return ended

    async def discard_access_token(self, appid: str, token: str, *, by: str) -> bool:
        """Forget the access_token kept for an app if it is this one; returns whether it was.

        Raises UnknownAppid and SessionStoreUnavailable.
        """
        discarded = await self._access_tokens.discard_value(self._app(appid).appid, token)
        if discarded:
            self._events.record("access_token_discarded", appid=appid, by=by)
        return discarded

    def _app(self, appid: str) -> WeChatApp:
        try:
            return self._apps[appid]
        except KeyError:
            raise UnknownAppid from None

    async def _kick(self, user_id: str, by: str, appid: str | None, device: str | None) -> int:
        user = await self._user(user_id)
        ended = 0
        for place in await self._places(user):
            if appid not in (None, place.appid) or device not in (None, place.device):
                continue
            if await self._sessions.terminate(place.handle, "kicked"):
                ended += 1
                self._events.record("kicked", user=user.id, by=by, **place._asdict())
        return ended

    async def _ban(self, user_id: str, by: str, reason: str, until: int | None) -> tuple[User, int]:
        before = await self._user(user_id)
        user = await self._users.ban(before.id, reason=reason, until=until)
        if user is None:
            raise UserNotFound
        self._events.record("banned", user=user.id, reason=reason, by=by)
        # A login under way that has read the row before finds the mark once its session is
        # written; so each session is either seen here, or by its login (docs/adr/0036).
        await self._sessions.mark_user(user.id, "banned")
        ended = 0
        for place in await self._places(user):
            ended += await self._sessions.terminate(place.handle, "banned", until=until)
        return user, ended

    async def _unban(self, user_id: str, by: str) -> User:
        before = await self._user(user_id)
        user = await self._users.unban(before.id)
        if user is None:
            raise UserNotFound
        if before.ban is not None:
            self._events.record("unbanned", user=user.id, by=by)
        # Also where there was no ban: it may have been taken back half-way.
        for place in await self._places(user):
            await self._sessions.lift_ban(place.handle)
        return user

    async def _delete(self, user_id: str, by: str) -> None:
        await self._deletion.delete(await self._user(user_id), by=by)

    async def _user(self, user_id: str) -> User:
        user = await self._users.get(user_id) if is_name(user_id) else None
        if user is None:
            raise UserNotFound
        return user

    async def _places(self, user: User) -> list[SessionPlace]:
        return session_places(await self._users.identities(user.id), self._devices)
