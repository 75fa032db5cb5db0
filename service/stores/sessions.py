"""Sessions in Redis: one key per user, mini-program and device class.

Login is one write, so a new one replaces the old one by construction;
validation is one read; every command touches one key, so that a Redis Cluster
serves as well as a single Redis.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from service.core.errors import (
    ServiceError,
    SessionError,
    SessionExpired,
    SessionKicked,
    SessionReplaced,
    SessionStoreUnavailable,
    UserBanned,
)
from service.core.ids import unique_id
from service.core.lately_seen import LatelySeen
from service.core.lifetime import Lifetime, whole_seconds
from service.core.models import (
    SESSION_KEY_BYTES,
    EndedSession,
    OpenedSession,
    SessionId,
    SessionKeys,
    SessionView,
    WeChatIdentity,
    handle_of,
)
from service.core.throttled_log import ThrottledLog
from service.redis.batching import Reading
from service.redis.scripts import Script, Scripts
from service.stores import session_record
from service.stores.keyring import Keyring
from service.stores.session_record import (
    USUAL_DEVICE,
    Ending,
    InvalidRecord,
    OtherVersion,
    SessionRecord,
)
from service.stores.sessions_since import UNKNOWN, SessionsSince

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service.config.settings import Settings
    from service.core.events import EventName, Events
    from service.core.models import Session
    from service.core.ports import Glance, UserMark
    from service.redis.client import RedisClient
    from service.redis.clock import ServerClock

_KIND: Final = "session:"

_NOBODY: Final = "-" * 22
"""The handle of a record that is looked through where there is none."""
_AHEAD_MS: Final = 1000
"""By which the clocks of two servers may differ, as create.lua has it."""
_MARKED_USER_KIND: Final = "gone:"
_MARKED_USER_MS: Final = 30_000
"""Longer than a login may take."""
FORMER_KEY_SECONDS: Final = 3600
"""How long data may be opened with the key of the session that was replaced."""
_MOST_TRIES: Final = 3
"""How often a login looks for the session that it replaces, where others replace it meanwhile."""

_LUA: Final = Path(__file__).with_name("lua")
_CREATE = Script(_LUA / "create.lua")
_REKEY = Script(_LUA / "rekey.lua")
_REVOKE = Script(_LUA / "revoke.lua")
_TERMINATE = Script(_LUA / "terminate.lua")
_LIFT_BAN = Script(_LUA / "lift_ban.lua")
_DELETE = Script(_LUA / "delete.lua")
_RENEW = Script(_LUA / "renew.lua")


@dataclass(slots=True)
class _NewSession:
    session_id: SessionId
    identity: WeChatIdentity
    keys: SessionKeys


class _Ended(SessionExpired):
    """Why a session, of somebody who has its secret, has ended: for the operator alone."""

    def __init__(self, record: SessionRecord, reason: str) -> None:
        """`reason`: a word for the event."""
        super().__init__()
        self.record = record
        self.reason = reason


class _WrongSecret(Exception):
    """Of no session that is, or was just before, under the handle."""


class RedisSessions:
    """The SessionStore port over Redis.

    Whatever ends a session (login, logout, kick, deletion) waits for replicas,
    where the settings ask for it.
    """

    def __init__(
        self,
        redis: RedisClient,
        scripts: Scripts,
        settings: Settings,
        *,
        events: Events,
        since: SessionsSince | None = None,
        seen: LatelySeen | None = None,
    ) -> None:
        """`settings` gives the lifetime, the coalescing window and the key ring.

        `since`: which sessions have been ended by mini-program and device class; by
        default the settings alone say so. `seen` is told whose sessions live.
        """
        self.redis = redis
        self._prefix = redis.prefix + _KIND
        self._marked_user_prefix = redis.prefix + _MARKED_USER_KIND
        self._scripts = scripts
        self._events = events
        self.lifetime = Lifetime.of(
            ttl=settings.session_ttl,
            max_age=settings.session_max_age,
            sliding=settings.session_renewal == "sliding",
        )
        self._window_ms = self.lifetime.sharing_window_ms(settings.login_coalesce_ms)
        self._marks = since or SessionsSince(settings)
        self._since = self._marks.of
        self._seen = seen or LatelySeen()
        ring = [key.get_secret_value() for key in settings.secret_keys]
        self._keyring = Keyring(ring, purpose="session")
        self._nobodys = session_record.write(
            SessionId.new(_NOBODY),
            WeChatIdentity("o" * 28, bytes(SESSION_KEY_BYTES)),
            appid="wx0123456789abcdef",
            device="default",
            user_id="u" * 26,
            issued_at=0,
            lifetime=self.lifetime,
            keyring=self._keyring,
        )
        self._log = ThrottledLog("sessions")

    async def create(
        self, identity: WeChatIdentity, *, appid: str, device: str, user_id: str
    ) -> OpenedSession:
        handle = handle_of(appid, identity.openid, device)
        # A look first: the script would say so too, and cost three times as much.
        standing = await self._standing(handle)
        keys = standing and await self.keys(standing)
        key_lost = standing is not None and keys is None
        new = _NewSession(
            SessionId.new(handle),
            identity,
            keys.replaced_by(identity.session_key) if keys else SessionKeys(identity.session_key),
        )
        window_ms, replaced, tries = self._window_ms, [standing.sealed if standing else ""], 0
        while True:
            reply = await self._write(
                new, window_ms, *replaced, appid=appid, device=device, user_id=user_id
            )
            if reply[0] == b"stored":
                return OpenedSession(
                    new.session_id,
                    self.lifetime.ttl_ms // 1000,
                    replaced=reply[3:] == [b"replaced"] and not self._has_ended(standing),
                    key_lost=key_lost,
                )
            await self._marks.wait_known()
            found = self._shareable(reply[2], handle)
            tries += 1
            if reply[0] == b"live":
                if found is None or tries > _MOST_TRIES:
                    # Nobody can read its key; or so many log in that it was no client's for long.
                    new, replaced = replace(new, keys=SessionKeys(identity.session_key)), []
                else:
                    record, _, keys = found
                    new = replace(new, keys=keys.replaced_by(identity.session_key))
                    replaced = [record.sealed]
            elif found is None:
                window_ms = 0  # nobody can use it: replace it
            else:
                record, shared_id, keys = found
                if await self._keep_newer_key(record, shared_id, keys, identity.session_key):
                    return OpenedSession(shared_id, whole_seconds(int(reply[3])), shared=True)

    async def validate(self, session_id: SessionId) -> Session:
        return await self._live(session_id.handle, session_id.digest)

    def glance(self, session_id: SessionId, tell: Callable[[Glance], None]) -> bool:
        handle, digest = session_id.handle, session_id.digest

        def judge(reading: Reading | SessionStoreUnavailable | None, clock: ServerClock) -> None:
            if not isinstance(reading, Reading):
                tell(reading)
                return
            try:
                found = self._simply_live(reading, handle, digest, clock)
            except Exception:  # noqa: BLE001 # a bug: `validate` has it too, and somebody to tell
                found = None
            tell(found)

        return self.redis.look(self._prefix + handle, judge, with_ttl=self.lifetime.sliding)

    async def revalidate(self, session: Session) -> None:
        await self._live(session.handle, session.digest)

    async def revoke(self, session_id: SessionId) -> EndedSession | None:
        return await self.revoke_digest(session_id.handle, session_id.digest)

    async def revoke_digest(self, handle: str, digest: str) -> EndedSession | None:
        reply = await self._run(_REVOKE, handle, digest, expected_echo=digest, wait_replicas=True)
        if reply[0] != b"ended":
            return None
        user, appid, device = (one.decode(errors="replace") for one in reply[3:6])
        return EndedSession(user, appid, device or USUAL_DEVICE)

    async def are_any_there(self) -> bool:
        """Whether any of the sessions is still there that lived when they were looked at last."""
        for one in tuple(self._seen.last):
            kept = (await self.redis.read(self._prefix + one.handle)).value
            if kept is not None and one.digest.encode() in kept:
                return True
        return False

    async def terminate(
        self, handle: str, reason: Literal["kicked", "banned"], *, until: int | None = None
    ) -> bool:
        reply = await self._run(
            _TERMINATE,
            handle,
            reason,
            "" if until is None else until,
            unique_id(),
            expected_echo=reason,
            wait_replicas=True,
        )
        return bool(reply[0] == b"ended")

    async def lift_ban(self, handle: str) -> None:
        await self._run(_LIFT_BAN, handle, expected_echo="lifted", wait_replicas=True)

    async def view(self, handles: Sequence[str]) -> Sequence[SessionView]:
        views = await asyncio.gather(*map(self._view, handles))
        return [one for one in views if one is not None]

    async def restore_id(self, handle: str, digest: str) -> SessionId | None:
        reading = await self.redis.read(self._prefix + handle)
        try:
            record = SessionRecord.read(reading.value or b"", handle=handle)
        except InvalidRecord:
            return None
        await self._marks.wait_known()
        if record.digest != digest or record.ending or self._is_former(record):
            return None
        opened = session_record.unseal(record.sealed, handle, self._keyring)
        return opened[0] if opened else None

    async def login_age(self, session: Session) -> float:
        key = self._prefix + session.handle
        now_ms = self._scripts.known_now_ms(key) or await self._scripts.now_ms(key)
        return (now_ms - session.issued_at) / 1000

    async def keys(self, session: Session) -> SessionKeys | None:
        opened = session_record.unseal(session.sealed, session.handle, self._keyring)
        return await self._in_time(opened[1], session) if opened else None

    async def keys_before(self, appid: str, openid: str, device: str) -> SessionKeys | None:
        standing = await self._standing(handle_of(appid, openid, device))
        return await self.keys(standing) if standing else None

    async def delete(self, handle: str) -> None:
        await self._run(_DELETE, handle, expected_echo="deleted", wait_replicas=True)

    async def mark_user(self, user_id: str, mark: UserMark) -> None:
        # Who it is of cannot be read from it.
        key = self._marked_user_key(user_id)
        await self.redis.set(key, mark, "PX", _MARKED_USER_MS, wait_replicas=True)

    async def user_mark(self, user_id: str) -> UserMark | None:
        mark = (await self.redis.read(self._marked_user_key(user_id))).value
        if mark is None:
            return None
        return "banned" if mark == b"banned" else "deleted"  # which was "1" before

    async def ping(self) -> str | None:
        health = await self.redis.health()
        if not health.available:
            raise SessionStoreUnavailable(health.reason)
        return None if health.complete else health.reason

    def _marked_user_key(self, user_id: str) -> str:
        return self._marked_user_prefix + hashlib.sha256(user_id.encode()).hexdigest()[:32]

    async def _live(self, handle: str, digest: str) -> Session:
        """The live session of the secret that `digest` stands for; raises as `validate` does."""
        try:
            return await self._looked_up(handle, digest)
        except _Ended as ended:
            self._tell("expired", ended.record, reason=ended.reason, doubtful=True)
            raise SessionExpired from None
        except SessionExpired:
            # Whoever has no secret that was ever good is told of in the same words.
            self._events.record("expired", handle=handle, reason="unknown", doubtful=True)
            raise

    async def _looked_up(self, handle: str, digest: str) -> Session:
        key = self._prefix + handle
        reading = await self.redis.read(key, with_ttl=self.lifetime.sliding)
        try:
            record = self._record(reading, handle)
        except InvalidRecord:
            record = await self._read_again(key, handle)
        await self._marks.wait_known()
        try:
            self._check(record, digest)
        except _WrongSecret:
            await self._check_absent(key)
            raise SessionExpired from None
        now_ms = self._scripts.known_now_ms(key) or await self._scripts.now_ms(key)
        left_ms = self._left_ms(record, reading.ttl_ms, now_ms)
        if left_ms is None:
            left_ms = await self._asked_left_ms(record, reading.ttl_ms, now_ms)
        session = record.session(expires_in=whole_seconds(left_ms))
        if record.user_id not in self._seen.users:
            self._seen.add(session)
        return session

    def _simply_live(
        self, reading: Reading, handle: str, digest: str, clock: ServerClock
    ) -> Session | None:
        """The same where it lives and nothing has to be asked for that; else None."""
        if not clock.known:
            return None
        now_ms = clock.now_ms()
        try:
            record = self._record(reading, handle)
            self._check(record, digest)
            left_ms = self._left_ms(record, reading.ttl_ms, now_ms)
        except (InvalidRecord, SessionError, UserBanned, _WrongSecret):
            return None
        if left_ms is None:
            return None
        session = record.session(expires_in=whole_seconds(left_ms))
        if record.user_id not in self._seen.users:
            self._seen.add(session)
        return session

    def _record(self, reading: Reading, handle: str) -> SessionRecord:
        """What was found under `handle`; raises InvalidRecord.

        A handle can be computed from an openid. So whether a session is there must not
        be told by the time that a wrong secret takes: where none is, somebody's is
        looked through who has no secret, and each step is taken in both cases.
        """
        if reading.value is None:
            return SessionRecord.read(self._nobodys, handle=_NOBODY)
        return SessionRecord.read(reading.value, handle=handle)

    def _check(self, record: SessionRecord, digest: str) -> None:
        """Raise what is the matter with the session, for whoever has the secret of `digest`."""
        if not hmac.compare_digest(digest, record.digest):
            if record.replaced(digest) and not self._is_former(record):
                raise SessionReplaced(at=record.issued_at // 1000, device=record.device)
            raise _WrongSecret
        if record.ending:
            raise _error_of(record.ending)
        # As `_is_former`, whose call is a tenth of a microsecond on every request.
        try:
            has_ended = record.issued_at < self._since[record.appid, record.device]
        except KeyError:
            raise _Ended(record, "not_served") from None
        if has_ended and self._is_former(record):
            raise _Ended(record, "ended_by_operator")

    async def _standing(self, handle: str) -> Session | None:
        """The session that a login is about to replace, or to share."""
        raw = (await self.redis.read(self._prefix + handle)).value
        if raw is None:
            return None
        try:
            record = SessionRecord.read(raw, handle=handle)
        except InvalidRecord:
            return None  # the login replaces it, and says so in the log
        return None if record.ending else record.session(expires_in=0)

    async def _view(self, handle: str) -> SessionView | None:
        key = self._prefix + handle
        reading = await self.redis.read(key, with_ttl=True)
        if reading.value is None:
            return None
        try:
            record = SessionRecord.read(reading.value, handle=handle)
        except InvalidRecord as fault:
            self._log.failed("reading a record", str(fault))
            return None
        now_ms = self._scripts.known_now_ms(key) or await self._scripts.now_ms(key)
        left_ms = min(reading.ttl_ms or 0, record.issued_at + record.longest_ms - now_ms)
        serves = record.ending or not self._is_former(record)
        if left_ms <= 0 or not serves:
            return None
        lost = session_record.unseal(record.sealed, handle, self._keyring) is None
        return SessionView(
            handle,
            record.appid,
            record.device,
            record.issued_at,
            whole_seconds(left_ms),
            record.ending.reason if record.ending else "live",
            key_lost=lost and not record.ending,  # which has none any more
        )

    async def _in_time(self, keys: SessionKeys, session: Session) -> SessionKeys:
        """Without that of the session before, once it has been replaced for so long."""
        if keys.former and await self.login_age(session) > FORMER_KEY_SECONDS:
            return replace(keys, former=None)
        return keys

    async def _write(
        self, new: _NewSession, window_ms: int, *replaced: str, **whose: str
    ) -> list[Any]:
        """What create.lua replies; `replaced` is its last argument."""
        key = self._prefix + new.session_id.handle
        record = session_record.write(
            new.session_id,
            new.identity,
            keys=new.keys,
            **whose,
            issued_at=self._scripts.known_now_ms(key) or await self._scripts.now_ms(key),
            lifetime=self.lifetime,
            keyring=self._keyring,
        )
        digest = new.session_id.digest
        reply = await self._run(
            _CREATE,
            new.session_id.handle,
            record,
            digest,
            self.lifetime.ttl_ms,
            window_ms,
            *replaced,
            expected_echo=digest,
            wait_replicas=True,
        )
        if reply[3:] == [b"unreadable"]:
            self._log.failed("reading a record", "replaced by a login")
        return reply

    def _shareable(
        self, raw: bytes, handle: str
    ) -> tuple[SessionRecord, SessionId, SessionKeys] | None:
        """A record and what is sealed in it; None for one that nobody can use."""
        try:
            record = SessionRecord.read(raw, handle=handle)
        except InvalidRecord as fault:
            self._log.failed("reading a record", str(fault))
            return None
        if self._is_former(record):
            return None
        opened = session_record.unseal(record.sealed, handle, self._keyring)
        return (record, *opened) if opened else None

    def _has_ended(self, standing: Session | None) -> bool:
        """Whether a session that a login takes the place of was an operator's to end, before."""
        if standing is None:
            return False
        # The login is done: where it is not known what has been ended, it is not undone by that.
        since = self._since.get((standing.appid, standing.device), UNKNOWN)
        return standing.issued_at < since

    def _is_former(self, record: SessionRecord | Session) -> bool:
        """Whether an operator ended it with all others of its time; or of its app or device class.

        That is, before a restart: they are not served any more. Raises SessionStoreUnavailable
        while it is not known what has been ended.
        """
        since = self._since.get((record.appid, record.device))
        if since is None:
            return True
        if since is UNKNOWN:
            raise SessionStoreUnavailable
        return record.issued_at < since

    async def _check_absent(self, key: str) -> None:
        """Raise SessionStoreUnavailable for a key without a value that holds a list, say.

        What is no text is no dead session. Reads do not tell it from nothing; the
        price of asking is paid for dead ids alone, all of them: see `_record`.
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

    def _left_ms(self, record: SessionRecord, ttl_ms: int | None, now_ms: int) -> int | None:
        """The milliseconds that a session has left; None where Redis has to be asked, or told.

        `ttl_ms`: what Redis gives it, where that was asked for. Raises SessionExpired.
        """
        until_max_age_ms = self._until_max_age_ms(record, now_ms)
        if record.issued_at > now_ms + _AHEAD_MS:
            return None
        if ttl_ms is None:
            return None if record.slides else until_max_age_ms
        renewed_ms = self.lifetime.renewed_ms(ttl_ms, until_max_age_ms=until_max_age_ms)
        return ttl_ms if renewed_ms is None else None

    async def _asked_left_ms(self, record: SessionRecord, ttl_ms: int | None, now_ms: int) -> int:
        """The same after asking, or after renewing the session."""
        key = self._prefix + record.handle
        until_max_age_ms = self._until_max_age_ms(record, now_ms)
        if record.issued_at > now_ms + _AHEAD_MS:
            return await self._left_of_future(key, record)
        if ttl_ms is not None:
            return await self._renewed(record, ttl_ms, until_max_age_ms=until_max_age_ms)
        # It slides, from before the settings said fixed.
        return (await self.redis.read(key, with_ttl=True)).ttl_ms or 0

    @staticmethod
    def _until_max_age_ms(record: SessionRecord, now_ms: int) -> int:
        left_ms = record.issued_at + record.longest_ms - now_ms
        if left_ms <= 0:
            raise _Ended(record, "age")  # whatever Redis says: it may have no time to live there
        return left_ms

    async def _left_of_future(self, key: str, record: SessionRecord) -> int:
        """The milliseconds left of a session that is younger than now: what Redis gives it.

        So it is after a failover to a server whose clock is behind. Raises
        SessionExpired where that is more than a login could have given it.
        """
        left_ms = (await self.redis.read(key, with_ttl=True)).ttl_ms or 0
        if not 0 < left_ms <= record.longest_ms:
            raise _Ended(record, "age")
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
        renewed_ms = self.lifetime.renewed_ms(left_ms, until_max_age_ms=until_max_age_ms)
        if renewed_ms is None:
            return left_ms
        digest = record.digest
        try:
            reply = await self._run(_RENEW, record.handle, digest, renewed_ms, expected_echo=digest)
        except SessionStoreUnavailable:
            return left_ms  # it is valid for now; the next request tries again
        if reply[0] != b"renewed":
            return left_ms
        self._tell("renewed", record)
        return renewed_ms

    def _tell(
        self, event: EventName, of: SessionRecord, *, reason: str = "", doubtful: bool = False
    ) -> None:
        self._events.record(
            event,
            user=of.user_id,
            handle=of.handle,
            appid=of.appid,
            device=of.device,
            reason=reason,
            doubtful=doubtful,
        )

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


def _error_of(ending: Ending) -> ServiceError:
    """What the holder of a session is told that an operator ended."""
    if ending.reason == "kicked":
        return SessionKicked(at=ending.at)
    if ending.until is not None and ending.until <= time.time():
        return SessionExpired()  # on which clients log in again silently
    return UserBanned(at=ending.at, until=ending.until)
