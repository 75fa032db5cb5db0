"""Sessions in Redis: one key per user, mini-program and device class.

Login is one write, so a new one replaces the old one by construction;
validation is one read; every command touches one key, so that a Redis Cluster
serves as well as a single Redis.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from service.core.errors import (
    SessionExpired,
    SessionKicked,
    SessionReplaced,
    SessionStoreUnavailable,
    UserBanned,
)
from service.core.lifetime import Lifetime, whole_seconds
from service.core.models import (
    SESSION_KEY_BYTES,
    OpenedSession,
    SessionId,
    WeChatIdentity,
    handle_of,
)
from service.core.throttled_log import ThrottledLog
from service.redis.scripts import Script, Scripts
from service.stores import session_record
from service.stores.keyring import Keyring
from service.stores.session_record import InvalidRecord, OtherVersion, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from service.config.settings import Settings
    from service.core.models import Session, SessionKeys
    from service.redis.client import RedisClient

_KIND: Final = "session:"

_NOBODY: Final = "-" * 22
"""The handle of a record that is looked through where there is none."""
_AHEAD_MS: Final = 1000
"""By which the clocks of two servers may differ, as create.lua has it."""
_DELETED_USER_KIND: Final = "gone:"
_DELETED_USER_MS: Final = 30_000
"""Longer than a login may take."""

_LUA: Final = Path(__file__).with_name("lua")
_CREATE = Script(_LUA / "create.lua")
_REKEY = Script(_LUA / "rekey.lua")
_REVOKE = Script(_LUA / "revoke.lua")
_TERMINATE = Script(_LUA / "terminate.lua")
_DELETE = Script(_LUA / "delete.lua")
_RENEW = Script(_LUA / "renew.lua")


class RedisSessions:
    """The SessionStore port over Redis.

    Whatever ends a session (login, logout, kick, deletion) waits for replicas,
    where the settings ask for it.
    """

    def __init__(self, redis: RedisClient, scripts: Scripts, settings: Settings) -> None:
        """`settings` gives the lifetime, the coalescing window and the key ring."""
        self.redis = redis
        self._prefix = redis.prefix + _KIND
        self._deleted_user_prefix = redis.prefix + _DELETED_USER_KIND
        self._scripts = scripts
        self._lifetime = Lifetime.of(
            ttl=settings.session_ttl,
            max_age=settings.session_max_age,
            sliding=settings.session_renewal == "sliding",
        )
        self._window_ms = self._lifetime.sharing_window_ms(settings.login_coalesce_ms)
        self._served = {(app, dev) for app in settings.apps for dev in settings.device_classes}
        ring = [key.get_secret_value() for key in settings.secret_keys]
        self._keyring = Keyring(ring, purpose="session")
        self._nobodys = session_record.write(
            SessionId.new(_NOBODY),
            WeChatIdentity("o" * 28, bytes(SESSION_KEY_BYTES)),
            appid="wx0123456789abcdef",
            device="default",
            user_id="u" * 26,
            issued_at=0,
            lifetime=self._lifetime,
            keyring=self._keyring,
        )
        self._log = ThrottledLog("sessions")

    async def create(
        self, identity: WeChatIdentity, *, appid: str, device: str, user_id: str
    ) -> OpenedSession:
        handle = handle_of(appid, identity.openid, device)
        session_id, window_ms = SessionId.new(handle), self._window_ms
        while True:
            recent = await self._write(
                session_id, identity, window_ms, appid=appid, device=device, user_id=user_id
            )
            if recent is None:
                return OpenedSession(session_id, self._lifetime.ttl_ms // 1000)
            raw, left_ms = recent
            shared = self._shareable(raw, handle)
            if shared is None:
                window_ms = 0  # nobody can use it: replace it
                continue
            record, shared_id, keys = shared
            if await self._keep_newer_key(record, shared_id, keys, identity.session_key):
                return OpenedSession(shared_id, whole_seconds(left_ms), shared=True)

    async def validate(self, session_id: SessionId) -> Session:
        return await self._live(session_id.handle, session_id.digest)

    async def revalidate(self, session: Session) -> None:
        await self._live(session.handle, session.digest)

    async def revoke(self, session_id: SessionId) -> bool:
        digest = session_id.digest
        reply = await self._run(
            _REVOKE, session_id.handle, digest, expected_echo=digest, wait_replicas=True
        )
        return bool(reply[0] == b"ended")

    async def terminate(self, handle: str, reason: Literal["kicked", "banned"]) -> bool:
        reply = await self._run(
            _TERMINATE, handle, reason, expected_echo=reason, wait_replicas=True
        )
        return bool(reply[0] == b"ended")

    async def restore_id(self, handle: str, digest: str) -> SessionId | None:
        reading = await self.redis.read(self._prefix + handle)
        try:
            record = SessionRecord.read(reading.value or b"", handle=handle)
        except InvalidRecord:
            return None
        if record.digest != digest or record.ended:
            return None
        opened = session_record.unseal(record.sealed, handle, self._keyring)
        return opened[0] if opened else None

    async def login_age(self, session: Session) -> float:
        key = self._prefix + session.handle
        now_ms = self._scripts.known_now_ms(key) or await self._scripts.now_ms(key)
        return (now_ms - session.issued_at) / 1000

    def keys(self, session: Session) -> SessionKeys | None:
        opened = session_record.unseal(session.sealed, session.handle, self._keyring)
        return opened[1] if opened else None

    async def delete(self, handle: str) -> None:
        await self._run(_DELETE, handle, expected_echo="deleted", wait_replicas=True)

    async def mark_user_deleted(self, user_id: str) -> None:
        # The mark says nothing of the user.
        key = self._deleted_user_key(user_id)
        await self.redis.set(key, b"1", "PX", _DELETED_USER_MS, wait_replicas=True)

    async def is_user_deleted(self, user_id: str) -> bool:
        return (await self.redis.read(self._deleted_user_key(user_id))).value is not None

    async def ping(self) -> str | None:
        health = await self.redis.health()
        if not health.available:
            raise SessionStoreUnavailable(health.reason)
        return None if health.complete else health.reason

    def _deleted_user_key(self, user_id: str) -> str:
        return self._deleted_user_prefix + hashlib.sha256(user_id.encode()).hexdigest()[:32]

    async def _live(self, handle: str, digest: str) -> Session:
        """The live session of the secret that `digest` stands for; raises as `validate` does."""
        key = self._prefix + handle
        reading = await self.redis.read(key, with_ttl=self._lifetime.sliding)
        # A handle can be computed from an openid. So whether a session is there must not be told
        # by the time that a wrong secret takes: each step is taken in both cases.
        raw, named = reading.value, handle
        if raw is None:
            raw, named = self._nobodys, _NOBODY
        try:
            record = SessionRecord.read(raw, handle=named)
        except InvalidRecord:
            record = await self._read_again(key, handle)
        if not hmac.compare_digest(digest, record.digest):
            if record.replaced(digest):
                raise SessionReplaced(at=record.issued_at // 1000, device=record.device)
            await self._check_absent(key)
            raise SessionExpired
        if record.ended:
            raise UserBanned if record.ended == "banned" else SessionKicked(at=record.ended_at)
        if (record.appid, record.device) not in self._served:
            raise SessionExpired  # of a mini-program or device class from before a restart
        left_ms = await self._left_ms(record, reading.ttl_ms)
        return record.session(expires_in=whole_seconds(left_ms))

    async def _write(
        self,
        session_id: SessionId,
        identity: WeChatIdentity,
        window_ms: int,
        **whose: str,
    ) -> tuple[bytes, int] | None:
        """None when written; else the record to share, and the milliseconds it has left."""
        record = session_record.write(
            session_id,
            identity,
            **whose,
            issued_at=await self._now_ms(session_id.handle),
            lifetime=self._lifetime,
            keyring=self._keyring,
        )
        digest = session_id.digest
        args = (record, digest, self._lifetime.ttl_ms, window_ms)
        reply = await self._run(
            _CREATE, session_id.handle, *args, expected_echo=digest, wait_replicas=True
        )
        if reply[0] == b"recent":
            return reply[2], int(reply[3])
        if reply[3:] == [b"unreadable"]:
            self._log.failed("reading a record", "replaced by a login")
        return None

    def _shareable(
        self, raw: bytes, handle: str
    ) -> tuple[SessionRecord, SessionId, SessionKeys] | None:
        """A record and what is sealed in it; None for one that nobody can read or open."""
        try:
            record = SessionRecord.read(raw, handle=handle)
        except InvalidRecord as fault:
            self._log.failed("reading a record", str(fault))
            return None
        opened = session_record.unseal(record.sealed, handle, self._keyring)
        return (record, *opened) if opened else None

    async def _check_absent(self, key: str) -> None:
        """Raise SessionStoreUnavailable for a key without a value that holds a list, say.

        What is no text is no dead session. Reads do not tell it from nothing; the
        price of asking is paid for dead ids alone, all of them: see `_live`.
        """
        kind = await self.redis.type_of(key)
        if kind not in {"none", "string"}:  # a login may have come in between
            self._log.failed("reading a record", f"no text: {kind}")
            raise SessionStoreUnavailable

    async def _read_again(self, key: str, handle: str) -> SessionRecord:
        """Read a record again that could not be read: the reply may have been another key's.

        Raises SessionStoreUnavailable for one that cannot be read indeed, and
        SessionExpired where only another version can: a login replaces it.
        """
        raw = await self.redis.get(key)
        if raw is None:
            await self._check_absent(key)
            raise SessionExpired
        try:
            return SessionRecord.read(raw, handle=handle)
        except InvalidRecord as fault:
            self._log.failed("reading a record", str(fault))
            mended = isinstance(fault, OtherVersion)
            raise SessionExpired if mended else SessionStoreUnavailable from fault

    async def _left_ms(self, record: SessionRecord, ttl_ms: int | None) -> int:
        """The milliseconds that a session has left, after renewing it if that is due.

        `ttl_ms`: what Redis gives it, where that was asked for. Raises SessionExpired.
        """
        key = self._prefix + record.handle
        longest_ms = record.longest_ms
        now_ms = self._scripts.known_now_ms(key) or await self._scripts.now_ms(key)
        left_ms = record.issued_at + longest_ms - now_ms
        if left_ms <= 0:
            raise SessionExpired  # whatever Redis says: it may have been told no time to live
        if left_ms > longest_ms + _AHEAD_MS:
            return await self._left_of_future(key, record)
        if ttl_ms is not None:
            return await self._renewed(record, ttl_ms, until_max_age_ms=left_ms)
        if record.slides:  # from before the settings said fixed
            return (await self.redis.read(key, with_ttl=True)).ttl_ms or 0
        return left_ms

    async def _left_of_future(self, key: str, record: SessionRecord) -> int:
        """The milliseconds left of a session that is younger than now: what Redis gives it.

        So it is after a failover to a server whose clock is behind. Raises
        SessionExpired where that is more than a login could have given it.
        """
        left_ms = (await self.redis.read(key, with_ttl=True)).ttl_ms or 0
        if not 0 < left_ms <= record.longest_ms:
            raise SessionExpired
        return left_ms

    async def _keep_newer_key(
        self, record: SessionRecord, session_id: SessionId, keys: SessionKeys, newer: bytes
    ) -> bool:
        """Put this login's session_key into the shared session; False when it has changed."""
        changed = keys.followed_by(newer)
        if changed is keys:
            return True
        sealed = session_record.seal(session_id, changed, self._keyring)
        reply = await self._run(
            _REKEY, session_id.handle, record.sealed, sealed, expected_echo=sealed
        )
        return bool(reply[0] == b"stored")

    async def _renewed(self, record: SessionRecord, left_ms: int, *, until_max_age_ms: int) -> int:
        """The milliseconds left, after renewing the session if that is due."""
        renewed_ms = self._lifetime.renewed_ms(left_ms, until_max_age_ms=until_max_age_ms)
        if renewed_ms is None:
            return left_ms
        digest = record.digest
        try:
            reply = await self._run(_RENEW, record.handle, digest, renewed_ms, expected_echo=digest)
        except SessionStoreUnavailable:
            return left_ms  # it is valid for now; the next request tries again
        return renewed_ms if reply[0] == b"renewed" else left_ms

    async def _run(
        self,
        script: Script,
        handle: str,
        *args: str | bytes | int,
        expected_echo: str,
        wait_replicas: bool = False,
    ) -> list[Any]:
        return await self._scripts.run_fenced(
            script,
            self._prefix + handle,
            *args,
            expected_echo=expected_echo,
            wait_replicas=wait_replicas,
        )

    def _now_ms(self, handle: str) -> Awaitable[int]:
        return self._scripts.now_ms(self._prefix + handle)
