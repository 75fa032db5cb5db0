"""Sessions in Redis: one key per user, mini-program and device class.

Login is one write, so a new one replaces the old one by construction;
validation is one read; every command touches one key, so that a Redis Cluster
serves as well as a single Redis.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final, Literal

from service.core.errors import (
    SessionExpired,
    SessionKicked,
    SessionReplaced,
    SessionStoreUnavailable,
    UserBanned,
)
from service.core.models import OpenedSession, SessionId, handle_of
from service.redis.batch_reader import BatchReader
from service.redis.scripts import Script, Scripts
from service.stores import session_record
from service.stores.keyring import Keyring
from service.stores.session_record import NotOurRecord, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from service.config.settings import Settings
    from service.core.models import Session, SessionKeys, WeChatIdentity
    from service.redis.client import Keyspace
    from service.stores.outage import OutageLog

KEY_PREFIX: Final = "minigate:session:"

_GONE_PREFIX: Final = "minigate:gone:"
_GONE_MS: Final = 30_000

_LOGIN = Script("login")
_REKEY = Script("rekey")
_LOGOUT = Script("logout")
_END = Script("end")
_ERASE = Script("erase")
_RENEW = Script("renew")


class RedisSessions:
    """The SessionStore port over Redis.

    Whatever ends a session (login, logout, kick, erasure) is lasting: where the
    settings ask for it, it counts only once replicas hold it.
    """

    def __init__(
        self, redis: Keyspace, settings: Settings, scripts: Scripts, outage: OutageLog
    ) -> None:
        """`settings` gives the lifetimes, the coalescing window and the key ring."""
        self._redis = redis
        self._outage = outage
        self._sliding = settings.session_renewal == "sliding"
        self._ttl_ms = settings.session_ttl * 1000
        self._life = settings.session_max_age if self._sliding else settings.session_ttl
        # Nobody is to share a session that is about to end.
        self._window_ms = min(settings.login_coalesce_ms, self._ttl_ms // 2)
        self._served = {(app, dev) for app in settings.apps for dev in settings.device_classes}
        ring = [key.get_secret_value() for key in settings.secret_keys]
        self._keyring = Keyring(ring, purpose="session")
        self._scripts = scripts
        self._reader = BatchReader(redis, with_ttl=self._sliding, outage=outage)
        self._ttl_reader = BatchReader(redis, with_ttl=True, outage=outage)

    async def open(
        self, identity: WeChatIdentity, *, appid: str, device: str, user_id: str
    ) -> OpenedSession:
        """Log a user in: write their session, or share one that is just as new."""
        handle = handle_of(appid, identity.openid, device)
        session_id, window_ms = SessionId.new(handle), self._window_ms
        while True:
            recent = await self._write(
                session_id, identity, window_ms, appid=appid, device=device, user_id=user_id
            )
            if recent is None:
                return OpenedSession(session_id, self._ttl_ms // 1000)
            record, left_ms = recent
            opened = session_record.unseal(record.sealed, handle, self._keyring)
            if opened is None:
                window_ms = 0  # sealed by a key that has left the ring: replace it
                continue
            shared, keys = opened
            if await self._keep_newer_key(record, shared, keys, identity.session_key):
                return OpenedSession(shared, _seconds(left_ms), shared=True)

    async def validate(self, session_id: SessionId) -> Session:
        """The live session of this id, or the SessionError that says why there is none."""
        key = KEY_PREFIX + session_id.handle
        reading = await self._reader.read(key)
        if reading.value is None:
            raise SessionExpired
        record = self._read(reading.value, session_id.handle)
        digest = session_id.digest
        if not hmac.compare_digest(digest, record.digest):
            if record.replaced(digest):
                raise SessionReplaced(at=record.issued_at // 1000, device=record.device)
            raise SessionExpired
        if record.ended:
            raise UserBanned if record.ended == "banned" else SessionKicked(at=record.ended_at)
        if (record.appid, record.device) not in self._served:
            raise SessionExpired  # of a mini-program or device class from before a restart
        if reading.ttl_ms is not None:
            left_ms = await self._renewed(session_id, record, reading.ttl_ms)
        elif record.slides:  # from before the settings said fixed
            left_ms = (await self._ttl_reader.read(key)).ttl_ms or 0
        else:
            now_ms = self._scripts.known_now_ms(key) or await self._scripts.now_ms(key)
            left_ms = record.expires_at - now_ms
        return record.session(expires_in=_seconds(left_ms))

    async def close(self, session_id: SessionId) -> bool:
        """Log out. False when this very session was not live any more."""
        digest = session_id.digest
        reply = await self._run(_LOGOUT, session_id.handle, digest, confirms=digest, lasting=True)
        return bool(reply[0] == b"ended")

    async def end(self, handle: str, reason: Literal["kicked", "banned"]) -> bool:
        """End whatever session lives under `handle`, and say why to its holder."""
        reply = await self._run(_END, handle, reason, confirms=reason, lasting=True)
        return bool(reply[0] == b"ended")

    async def recall(self, handle: str, digest: str) -> SessionId | None:
        """The id of a live session by its digest, for a login that is answered once more."""
        reading = await self._reader.read(KEY_PREFIX + handle)
        if reading.value is None:
            return None
        record = self._read(reading.value, handle)
        if record.digest != digest or record.ended:
            return None
        opened = session_record.unseal(record.sealed, handle, self._keyring)
        return opened[0] if opened else None

    def keys(self, session: Session) -> SessionKeys | None:
        """WeChat's keys of this session; None when the key that sealed them has left the ring."""
        opened = session_record.unseal(session.sealed, session.handle, self._keyring)
        return opened[1] if opened else None

    async def erase(self, handle: str) -> None:
        """Delete whatever is kept under `handle`, without a trace."""
        await self._run(_ERASE, handle, confirms="erased", lasting=True)

    async def mark_gone(self, user_id: str) -> None:
        """Let no login that began before this leave a session of a user who is being deleted.

        The mark says nothing of the user and lives as long as a login may take.
        """
        try:
            await self._redis.set(_gone_key(user_id), b"1", "PX", _GONE_MS, confirm=True)
        except Exception as fault:
            self._outage.failed("mark", fault)
            raise SessionStoreUnavailable from fault

    async def is_gone(self, user_id: str) -> bool:
        """Whether the user was deleted a moment ago."""
        return (await self._reader.read(_gone_key(user_id))).value is not None

    async def ping(self) -> bool:
        """Whether all of Redis is well; raises SessionStoreUnavailable when none of it answers."""
        health = await self._redis.health()
        if not health.serves:
            raise SessionStoreUnavailable
        return health.whole

    async def aclose(self) -> None:
        """Let reads under way finish. The keyspace is the caller's."""
        await self._reader.aclose()
        await self._ttl_reader.aclose()

    async def _write(
        self,
        session_id: SessionId,
        identity: WeChatIdentity,
        window_ms: int,
        **whose: str,
    ) -> tuple[SessionRecord, int] | None:
        """None when written, else a login's record of the same moment and its milliseconds left."""
        record = session_record.write(
            session_id,
            identity,
            **whose,
            issued_at=await self._now_ms(session_id.handle),
            life=self._life,
            slides=self._sliding,
            keyring=self._keyring,
        )
        digest = session_id.digest
        ask = (record, digest, self._ttl_ms, window_ms)
        reply = await self._run(_LOGIN, session_id.handle, *ask, confirms=digest, lasting=True)
        if reply[0] != b"recent":
            return None
        return self._read(reply[2], session_id.handle), int(reply[3])

    async def _keep_newer_key(
        self, record: SessionRecord, session_id: SessionId, keys: SessionKeys, newer: bytes
    ) -> bool:
        """Put this login's session_key into the shared session; False when it has changed."""
        changed = keys.followed_by(newer)
        if changed is keys:
            return True
        sealed = session_record.seal(session_id, changed, self._keyring)
        reply = await self._run(_REKEY, session_id.handle, record.sealed, sealed, confirms=sealed)
        return bool(reply[0] == b"stored")

    async def _renewed(self, session_id: SessionId, record: SessionRecord, ttl_ms: int) -> int:
        """The milliseconds left, after giving a session in use more of them if due."""
        longest = min(self._ttl_ms, record.expires_at - await self._now_ms(session_id.handle))
        if ttl_ms * 2 > self._ttl_ms or longest <= ttl_ms:
            return ttl_ms
        try:
            digest = session_id.digest
            reply = await self._run(_RENEW, session_id.handle, digest, longest, confirms=digest)
        except SessionStoreUnavailable:
            return ttl_ms  # it is valid for now; the next request tries again
        return longest if reply[0] == b"renewed" else ttl_ms

    async def _run(
        self,
        script: Script,
        handle: str,
        *args: str | bytes | int,
        confirms: str,
        lasting: bool = False,
    ) -> list[Any]:
        key = KEY_PREFIX + handle
        return await self._scripts.run(script, key, *args, confirms=confirms, lasting=lasting)

    def _now_ms(self, handle: str) -> Awaitable[int]:
        return self._scripts.now_ms(KEY_PREFIX + handle)

    @staticmethod
    def _read(raw: bytes, handle: str) -> SessionRecord:
        try:
            return SessionRecord.read(raw, handle=handle)
        except NotOurRecord as fault:
            # Somebody else's reply, or a damaged record: no verdict on the session.
            raise SessionStoreUnavailable from fault


def _seconds(left_ms: int) -> int:
    return max(left_ms, 0) // 1000


def _gone_key(user_id: str) -> str:
    return _GONE_PREFIX + hashlib.sha256(user_id.encode()).hexdigest()[:32]
