"""The end of an account, whoever asks for it: sessions, picture, record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.models import DEFAULT_AVATAR
from service.core.session_places import session_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.events import Events
    from service.core.models import Session, User, UserIdentity
    from service.core.ports import AvatarStore, PhoneCodes, SessionStore, UserRecords


class Deletion:
    """Removes users."""

    def __init__(
        self,
        *,
        devices: Sequence[str],
        users: UserRecords,
        sessions: SessionStore,
        avatars: AvatarStore,
        phone_codes: PhoneCodes,
        events: Events,
    ) -> None:
        """`devices` are the device classes."""
        self._devices = devices
        self._users = users
        self._sessions = sessions
        self._avatars = avatars
        self._phone_codes = phone_codes
        self._events = events

    async def delete(self, user: User, *, session: Session | None = None, by: str = "") -> None:
        """Remove the user: sessions on every device, picture, record.

        `session`: in which the user asks for it; it stays for now. `by`: the operator who does.
        Raises SessionStoreUnavailable and UserStoreUnavailable; what failed half-way can be
        done again.
        """
        but = session.handle if session else ""
        await self._sessions.mark_user(user.id, "deleted")
        await self._forget(await self._users.identities(user.id), but=but)
        await remove_picture(self._avatars, user.avatar)
        deleted = await self._users.delete(user.id)
        if deleted is not None:
            self._tell(user, session, by)
            # Again, for a login or a picture that came in between. Later ones find no user.
            await self._forget(deleted.identities, but=but)
            await remove_picture(self._avatars, deleted.user.avatar)

    def _tell(self, user: User, session: Session | None, by: str) -> None:
        if session is None:
            self._events.record("account_deleted", user=user.id, by=by)
            return
        self._events.record(
            "account_deleted",
            user=user.id,
            handle=session.handle,
            appid=session.appid,
            device=session.device,
            reason="by_the_user",
        )

    async def _forget(self, identities: Sequence[UserIdentity], *, but: str) -> None:
        """End the sessions of `identities` on every device, except that of the handle `but`."""
        for one in identities:
            await self._phone_codes.forget(one.appid, one.openid)
        for place in session_places(identities, self._devices):
            if place.handle != but:
                await self._sessions.delete(place.handle)


async def remove_picture(avatars: AvatarStore, name: str) -> None:
    """Remove a picture that nobody names any more; raises UserStoreUnavailable."""
    if name != DEFAULT_AVATAR:  # that is everybody's
        await avatars.delete(name)
