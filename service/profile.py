"""The user's own record: name, picture, a copy to take away, the end of it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

from service.errors import InvalidRequest, SessionExpired
from service.models import handle_of
from service.nickname import BadNickname, clean
from service.portrait import NotAPicture, portrait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from service.models import Session, User, WeChatApp
    from service.ports import AvatarStore, PhoneCodes, SessionStore, UserStore, WeChat

UPLOADS: Final = "/uploads/"
_PICTURES_AT_ONCE: Final = 2


class Profiles:
    """What a user may do with their own record.

    Every method raises SessionExpired when the session's user is gone.
    """

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        devices: Sequence[str],
        users: UserStore,
        avatars: AvatarStore,
        sessions: SessionStore,
        wechat: WeChat,
        phone_codes: PhoneCodes,
        check_nicknames: bool,
    ) -> None:
        """`check_nicknames`: have WeChat's content check pass them first."""
        self._apps = apps
        self._devices = devices
        self._users = users
        self._avatars = avatars
        self._sessions = sessions
        self._wechat = wechat
        self._phone_codes = phone_codes
        self._check_nicknames = check_nicknames
        self._studio = asyncio.Semaphore(_PICTURES_AT_ONCE)

    async def show(self, session: Session) -> User:
        """The caller's record."""
        return _there(await self._users.get(session.user_id))

    async def rename(self, session: Session, nickname: str) -> User:
        """Change the nickname; raises InvalidRequest for one that cannot be."""
        try:
            name = clean(nickname)
        except BadNickname as fault:
            raise InvalidRequest("nickname", str(fault)) from None
        if self._check_nicknames:
            app = self._apps[session.appid]
            if not await self._wechat.nickname_passes(app, session.openid, name):
                raise InvalidRequest("nickname", "does not pass WeChat's content check")
        return _there(await self._users.set_profile(session.user_id, nickname=name))

    async def set_avatar(self, session: Session, upload: bytes) -> User:
        """Make an uploaded picture the avatar; raises InvalidRequest if it is none."""
        user = await self.show(session)
        try:
            async with self._studio:
                picture = await asyncio.to_thread(portrait, upload)
        except NotAPicture as fault:
            raise InvalidRequest("avatar", str(fault)) from None
        # The name says what is in it, so that it may be cached for ever, and whose
        # it is, so that no two users' pictures are one file.
        name = hashlib.sha256(user.id.encode() + picture).hexdigest()[:40] + ".jpg"
        await self._avatars.put(name, picture)
        changed = await self._users.set_profile(user.id, avatar=UPLOADS + name)
        if user.avatar != UPLOADS + name:
            await self._remove_picture(user)
        return _there(changed)

    async def export(self, session: Session) -> dict[str, Any]:
        """All that is kept of the caller, and nothing of anybody else."""
        user = await self.show(session)
        identities = await self._users.identities(user.id)
        return {
            "user": {
                "id": user.id,
                "nickname": user.nickname,
                "avatar": user.avatar,
                "phone": user.phone.number if user.phone else None,
                "createdAt": user.created_at,
                "updatedAt": user.updated_at,
            },
            "identities": [
                {"appid": one.appid, "openid": one.openid, "unionid": one.unionid}
                for one in identities
            ],
            "session": {
                "appid": session.appid,
                "device": session.device,
                "issuedAt": session.issued_at // 1000,
                "expiresIn": session.expires_in,
            },
        }

    async def delete(self, session: Session) -> None:
        """Remove the caller: sessions on every device, picture, record.

        The session in use goes last, so that a delete that failed on the way
        can be asked for again.
        """
        user = await self.show(session)
        own = {session.handle}
        for one in await self._users.identities(user.id):
            own.update(handle_of(one.appid, one.openid, device) for device in self._devices)
            await self._phone_codes.forget(one.appid, one.openid)
        await self._sessions.mark_gone(user.id)
        others = own - {session.handle}
        await self._erase(others)
        await self._remove_picture(user)
        await self._users.delete(user.id)
        # Once more: a login may have come in between. Later ones heed the mark.
        await self._erase(others)
        await self._erase({session.handle})

    async def _erase(self, handles: set[str]) -> None:
        for handle in handles:
            await self._sessions.erase(handle)

    async def _remove_picture(self, user: User) -> None:
        name = user.avatar.removeprefix(UPLOADS)
        if name.endswith(".jpg"):  # the default one is everybody's
            await self._avatars.delete(name)


def _there(user: User | None) -> User:
    if user is None:
        raise SessionExpired
    return user
