"""Opening what WeChat encrypted for the user, and saying why it did not open."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from service.core.encrypted_data import DecryptionError, open_encrypted, signs
from service.core.errors import DecryptFailed, ServiceError
from service.core.models import SessionKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.models import Encrypted, Session, WeChatApp, WeChatIdentity
    from service.core.ports import SessionStore, WeChat

log = logging.getLogger(__name__)


class Decryptor:
    """Opens encryptedData with the keys of a session or of a login."""

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        sessions: SessionStore,
        wechat: WeChat,
        max_age: int,
        probe: bool,
    ) -> None:
        """`max_age`: seconds since WeChat encrypted it.

        `probe`: ask WeChat whether the session_key is still good before telling
        a client to log in again.
        """
        self._apps = apps
        self._sessions = sessions
        self._wechat = wechat
        self._max_age = max_age
        self._probe = probe

    async def open(self, session: Session, encrypted: Encrypted) -> dict[str, Any]:
        """The payload, opened with the session's key or the one before it.

        Raises DecryptFailed, which tells the client no more than whether to
        log in again; the reason is in the log.
        """
        keys = self._sessions.keys(session)
        try:
            if keys is None:
                raise DecryptionError("no_key", stale_key=True)
            return self._open(keys, session.appid, encrypted)
        except DecryptionError as fault:
            relogin = fault.stale_key and not await self._key_lives(session, keys)
            raise self._failed(fault, session.handle, relogin=relogin) from None

    def open_at_login(
        self, identity: WeChatIdentity, appid: str, encrypted: Encrypted
    ) -> dict[str, Any]:
        """The payload that came along with a login; raises DecryptFailed.

        A profile that names another openid is refused.
        """
        try:
            payload = self._open(SessionKeys(identity.session_key), appid, encrypted)
            if payload.get("openId", identity.openid) != identity.openid:
                raise DecryptionError("openid_mismatch", stale_key=False)
        except DecryptionError as fault:
            raise self._failed(fault, "login", relogin=fault.stale_key) from None
        return payload

    def check_signature(self, identity: WeChatIdentity, raw_data: str, signature: str) -> None:
        """Raise DecryptFailed unless WeChat signed `rawData` for this login's key."""
        if not signs(raw_data, signature, keys=SessionKeys(identity.session_key)):
            raise self._failed(DecryptionError("signature", stale_key=True), "login", relogin=True)

    def _open(self, keys: SessionKeys, appid: str, encrypted: Encrypted) -> dict[str, Any]:
        return open_encrypted(
            encrypted.data,
            encrypted.iv,
            keys=keys,
            appid=appid,
            now=time.time(),
            max_age=self._max_age,
        )

    async def _key_lives(self, session: Session, keys: SessionKeys | None) -> bool:
        """Whether WeChat says that the key is good; False if it is not asked or does not answer."""
        if not self._probe or keys is None:
            return False
        app = self._apps[session.appid]
        try:
            return await self._wechat.session_key_lives(app, session.openid, keys.current)
        except ServiceError:
            return False

    def _failed(self, fault: DecryptionError, whose: str, *, relogin: bool) -> DecryptFailed:
        log.info("decrypt failed: %s handle=%s", fault.reason, whose)
        return DecryptFailed(relogin=relogin)
