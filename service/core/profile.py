"""The user's own record: name, picture, a copy to take away, the end of it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from service.core.deletion import remove_picture
from service.core.errors import (
    NicknameRejected,
    ServiceError,
    SessionExpired,
    UserStoreUnavailable,
)
from service.core.models import UserExport
from service.core.nickname import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.background import BackgroundTasks
    from service.core.deletion import Deletion
    from service.core.models import Session, User, WeChatApp
    from service.core.own_record import OwnRecord
    from service.core.ports import (
        AvatarStore,
        Limits,
        PictureDecoder,
        SessionStore,
        UserRecords,
        WeChat,
    )

_NAME_BYTES: Final = 20


class Profiles:
    """What a user may do with their own record.

    Every method raises SessionExpired when the session's user is gone; those that change
    something raise what OwnRecord does.
    """

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        users: UserRecords,
        record: OwnRecord,
        deletion: Deletion,
        avatars: AvatarStore,
        pictures: PictureDecoder,
        sessions: SessionStore,
        wechat: WeChat,
        limits: Limits,
        check_nicknames: bool,
        background: BackgroundTasks,
    ) -> None:
        """`check_nicknames`: have WeChat's content check pass them first."""
        self._apps = apps
        self._users = users
        self._record = record
        self._deletion = deletion
        self._avatars = avatars
        self._pictures = pictures
        self._sessions = sessions
        self._wechat = wechat
        self._limits = limits
        self._check_nicknames = check_nicknames
        self._background = background

    async def find(self, session: Session) -> User | None:
        """The caller's record; None while the user store is away, or if there is none."""
        try:
            return await self._users.get(session.user_id)
        except UserStoreUnavailable:
            return None

    async def show(self, session: Session) -> User:
        """The caller's record."""
        user = await self._users.get(session.user_id)
        if user is None:
            raise SessionExpired
        return user

    async def rename(self, session: Session, nickname: str) -> User:
        """Change the nickname; raises a NicknameError for one that cannot be, RateLimited."""
        name = clean(nickname)
        user = await self.show(session)
        if name == user.nickname:
            return user
        await self._limits.count("nicknames_per_user", session.counted_as)
        if self._check_nicknames:
            app = self._apps[session.appid]
            if not await self._wechat.nickname_passes(app, session.openid, name):
                raise NicknameRejected
        return await self._record.set_nickname(session, name)

    async def set_avatar(self, session: Session, upload: bytes) -> User:
        """Make an uploaded picture the avatar; raises what PictureDecoder does."""
        await self.show(session)
        picture = await self._pictures.decode(upload)  # for nobody, once its client has gone
        return await self._background.run_to_completion(self._set_avatar(session, picture))

    async def export(self, session: Session) -> UserExport:
        """All that is kept of the caller, and nothing of anybody else."""
        user = await self.show(session)
        return UserExport(user, await self._users.identities(user.id), session)

    async def delete(self, session: Session) -> None:
        """Remove the caller: sessions on every device, picture, record.

        The session in use goes last, so that a delete that failed on the way
        can be asked for again.
        """
        await self._background.run_to_completion(self._delete(session))

    async def _set_avatar(self, session: Session, picture: bytes) -> User:
        # A new name each time: a picture may be cached for ever, and to remove
        # one that was replaced never removes one that is in use.
        name = secrets.token_hex(_NAME_BYTES) + ".jpg"
        await self._avatars.put(name, picture)
        try:
            changed = await self._record.set_avatar(session, name)
        except UserStoreUnavailable:
            raise  # the change may have been made, and the picture be in use
        except ServiceError:
            await self._discard(name)
            raise
        # The database may have made a change twice, when its first answer was lost.
        if changed.former != changed.user.avatar:
            await self._discard(changed.former)
        return changed.user

    async def _delete(self, session: Session) -> None:
        user = await self._users.get(session.user_id)
        if user is None:  # deleted by a request that was cut off before its last step
            await self._sessions.delete(session.handle)
            raise SessionExpired
        await self._deletion.delete(user, session=session)
        await self._sessions.delete(session.handle)

    async def _discard(self, name: str) -> None:
        """Remove a picture that nobody names any more, if the store allows it.

        It changes no answer: whoever was told that it failed would send the picture again,
        and the store would keep one more.
        """
        with suppress(UserStoreUnavailable):  # the store has logged it
            await remove_picture(self._avatars, name)
