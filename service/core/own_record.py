"""Changes of a user's record on behalf of a session, for as long as that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import SessionExpired

if TYPE_CHECKING:
    from service.core.models import NewAvatar, Phone, Session, User
    from service.core.ports import SessionStore, UserStore


class OwnRecord:
    """What a session may change of its user.

    From the guard to a change it may be long: a picture comes slowly, WeChat is asked.
    Meanwhile the owner may have logged in, and the session be somebody else's. So each
    change looks at it once more. Every method raises what SessionStore.validate does, and
    SessionExpired when the user is gone; then nothing was changed.
    """

    def __init__(self, users: UserStore, sessions: SessionStore) -> None:
        self._users = users
        self._sessions = sessions

    async def set_nickname(self, session: Session, nickname: str) -> User:
        """Change the name."""
        await self._sessions.revalidate(session)
        user = await self._users.set_nickname(session.user_id, nickname)
        if user is None:
            raise SessionExpired
        return user

    async def set_avatar(self, session: Session, avatar: str) -> NewAvatar:
        """Change the picture's name."""
        await self._sessions.revalidate(session)
        changed = await self._users.set_avatar(session.user_id, avatar)
        if changed is None:
            raise SessionExpired
        return changed

    async def bind_phone(
        self, session: Session, phone: Phone, *, proven: bool, may_change: bool
    ) -> User:
        """Give the user this number, as UserStore does; raises PhoneTaken and LoginTooOld."""
        await self._sessions.revalidate(session)
        user = await self._users.bind_phone(
            session.user_id, phone, proven=proven, may_change=may_change
        )
        if user is None:
            raise SessionExpired
        return user
