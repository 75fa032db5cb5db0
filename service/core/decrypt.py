"""Opening what WeChat encrypted for the user, and saying why it did not open."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from service.core.encrypted_data import DecryptionError, open_encrypted, signs
from service.core.errors import DecryptFailed, ServiceError
from service.core.models import Phone, SessionKeys, counted_as, handle_of
from service.core.payload import is_phone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.events import Events
    from service.core.failed_openings import FailedOpenings
    from service.core.models import Encrypted, Session, WeChatApp, WeChatIdentity
    from service.core.ports import Limits, SessionStore, WeChat

log = logging.getLogger(__name__)

PHONE_MAX_AGE: Final = 300
"""Seconds since WeChat encrypted a phone number: a user hands it on at once."""
_LOST: Final = "\ufffd"
"""What clients send for half an emoji, and for bytes that are no text."""


class Decryptor:
    """Opens encryptedData with the keys of a session or of a login."""

    def __init__(
        self,
        *,
        apps: Mapping[str, WeChatApp],
        sessions: SessionStore,
        wechat: WeChat,
        limits: Limits,
        failures: FailedOpenings,
        max_age: int,
        probe: bool,
        events: Events,
    ) -> None:
        """`max_age`: seconds since WeChat encrypted it.

        `probe`: ask WeChat whether the session_key is still good before telling
        a client to log in again.
        """
        self._apps = apps
        self._sessions = sessions
        self._wechat = wechat
        self._limits = limits
        self._failures = failures
        self._max_age = max_age
        self._probe = probe
        self._events = events

    async def open(self, session: Session, encrypted: Encrypted) -> dict[str, Any]:
        """The payload, opened with the session's key or one before it.

        Raises DecryptFailed, which tells the client no more than whether to
        log in again; the reason is in the log. Raises RateLimited and
        SessionStoreUnavailable before it opens anything.
        """
        return await self._open_in(session, encrypted, phone=False)

    async def open_phone(self, session: Session, encrypted: Encrypted) -> Phone:
        """The same for a phone number of the last five minutes; anything else fails."""
        found = await self._open_in(session, encrypted, phone=True)
        return Phone.of(str(found["countryCode"]), found["purePhoneNumber"])

    async def keys_at_login(self, identity: WeChatIdentity, appid: str, device: str) -> SessionKeys:
        """The login's own key, and those of the session that it replaces.

        A client asks for the profile first and for the code then, which brings a new key.
        Raises SessionStoreUnavailable.
        """
        before = await self._sessions.keys_before(appid, identity.openid, device)
        if before is None:
            return SessionKeys(identity.session_key)
        return SessionKeys(identity.session_key, before.current, before.previous or before.former)

    async def open_at_login(
        self,
        keys: SessionKeys,
        identity: WeChatIdentity,
        appid: str,
        device: str,
        encrypted: Encrypted,
    ) -> dict[str, Any]:
        """The payload that came along with a login; raises as `open` does.

        A profile that names another openid is refused. One that is WeChat's and cannot be
        read is {}: no login would make it better, and its user would never get in.
        """
        handle = handle_of(appid, identity.openid, device)
        try:
            user = counted_as(appid, identity.openid)
            async with self._failures.attempt(handle=handle, user=user):
                return self._read(keys, appid, identity.openid, encrypted)
        except DecryptionError as fault:
            if fault.unreadable:
                log.info("profile left out: %s handle=%s", fault.reason, handle)
                return {}
            raise self._failed(fault, handle, relogin=fault.stale_key) from None

    def check_signature(self, keys: SessionKeys, raw_data: str, signature: str) -> None:
        """Raise DecryptFailed unless WeChat signed `rawData` with one of a login's keys.

        What was replaced on the way, as it was no text, is not what WeChat signed; nor is
        anything done with it.
        """
        if _LOST in raw_data:
            return
        if not signs(raw_data, signature, keys=keys):
            raise self._failed(DecryptionError("signature", stale_key=True), "login", relogin=True)

    async def _open_in(
        self, session: Session, encrypted: Encrypted, *, phone: bool
    ) -> dict[str, Any]:
        await self._limits.count("decrypt_per_user", session.counted_as)
        keys = await self._sessions.keys(session)
        if keys is None:
            self._tell_lost(session)
        try:
            async with self._failures.attempt(handle=session.handle, user=session.counted_as):
                return self._read(keys, session.appid, session.openid, encrypted, phone=phone)
        except DecryptionError as fault:
            relogin = fault.stale_key and not await self._key_lives(session, keys)
            raise self._failed(fault, session.handle, relogin=relogin) from None

    def _tell_lost(self, session: Session) -> None:
        """Say why this client is about to be sent to log in again, though its session lives."""
        self._events.record(
            "expired",
            user=session.user_id,
            handle=session.handle,
            appid=session.appid,
            device=session.device,
            reason="key_lost",
            doubtful=True,
        )

    def _read(
        self,
        keys: SessionKeys | None,
        appid: str,
        openid: str,
        encrypted: Encrypted,
        *,
        phone: bool = False,
    ) -> dict[str, Any]:
        found = open_encrypted(
            encrypted,
            keys=keys,
            appid=appid,
            openid=openid,
            now=time.time(),
            max_age=min(self._max_age, PHONE_MAX_AGE) if phone else self._max_age,
        )
        if phone and not is_phone(found):
            raise DecryptionError("no_phone", stale_key=False)
        return found

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
