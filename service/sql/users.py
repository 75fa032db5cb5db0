"""Users in SQL: who somebody is, found or made without a race."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import delete, select

from service.core.errors import LoginTooOld, ServiceError, UserStoreUnavailable
from service.core.models import Ban, DeletedUser, NewAvatar, Phone, User, UserMatch, UserPage
from service.metrics.series import sql_failures, sql_seconds
from service.sql.faults import name_sql_fault
from service.sql.known_users import KnownUsers
from service.sql.phone_rows import PhoneRows
from service.sql.rows import (
    UserRows,
    by_id,
    existing,
    identities_of,
    likely_owner,
    lock_names,
    lock_user,
    update_user,
)
from service.sql.schema import users
from service.sql.user_search import UserSearch
from service.tracing import span

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy import Connection, Row

    from service.core.events import Events
    from service.core.models import SearchField, UserIdentity, WeChatIdentity
    from service.core.outage import Outage
    from service.sql.database import SqlDatabase
    from service.stores.keyring import Keyring

T = TypeVar("T")

log = logging.getLogger(__name__)

_USER_ID_BYTES: Final = 12


class SqlUsers:
    """The UserStore port over SQLAlchemy; the same statements serve both databases."""

    def __init__(
        self,
        database: SqlDatabase,
        keyring: Keyring,
        outage: Outage,
        *,
        platforms: Mapping[str, str] | None = None,
        events: Events | None = None,
    ) -> None:
        """`keyring` seals phone numbers and makes the fingerprints that find them.

        `platforms`: the open-platform account of each appid; those not named share one.
        `events` hear of numbers that go from one user to another.
        """
        self._database = database
        self._known = KnownUsers(database)
        self._keyring = keyring
        self._outage = outage
        self._platforms = platforms or {}
        self._events = events

    async def find_or_create(self, appid: str, identity: WeChatIdentity) -> UserMatch:
        known = await self._find(appid, identity.openid)
        if known and identity.unionid in (None, known.unionid):
            return UserMatch(self._user(known), is_new=False, unionid=known.unionid)
        return await self._write(partial(self._find_or_create, appid, identity, _new_id()))

    async def find_or_create_with_phone(
        self, appid: str, identity: WeChatIdentity, phone: Phone
    ) -> UserMatch:
        match, losers = await self._write(
            partial(self._find_or_create_with_phone, appid, identity, phone, _new_id())
        )
        self._tell_moved(match.user.id, losers)
        return match

    async def get(self, user_id: str) -> User | None:
        row = await self._read(lambda db: by_id(db, user_id))
        return self._user(row) if row else None

    async def find(
        self, field: SearchField, value: str, *, limit: int, after: str = ""
    ) -> UserPage:
        search = UserSearch(field, value, self._keyring, limit=limit, after=after)
        found = await self._read(search.rows)
        return UserPage([self._user(row) for row in found.rows], found.next)

    async def ban(self, user_id: str, *, reason: str, until: int | None) -> User | None:
        values = {"banned_at": int(time.time()), "banned_until": until, "ban_reason": reason}
        row = await self._write(lambda db: update_user(db, user_id, **values))
        return self._user(row) if row else None

    async def unban(self, user_id: str) -> User | None:
        values = dict.fromkeys(("banned_at", "banned_until", "ban_reason"))
        row = await self._write(lambda db: update_user(db, user_id, **values))
        return self._user(row) if row else None

    async def set_nickname(self, user_id: str, nickname: str) -> User | None:
        row = await self._write(lambda db: update_user(db, user_id, nickname=nickname))
        return self._user(row) if row else None

    async def set_avatar(self, user_id: str, avatar: str) -> NewAvatar | None:
        former = avatar

        def change(db: Connection) -> NewAvatar | None:
            nonlocal former
            row = lock_user(db, user_id)
            if row is None:
                return None
            current = self._user(row).avatar
            if current != avatar:  # else set by a first attempt, whose answer was lost
                former = current
            return NewAvatar(self._user(update_user(db, user_id, avatar=avatar)), former)

        return await self._write(change)

    async def bind_phone(
        self, user_id: str, phone: Phone, *, proven: bool, may_change: bool
    ) -> User | None:
        row, losers = await self._write(
            partial(self._bind_phone, user_id, phone, proven=proven, may_change=may_change)
        )
        self._tell_moved(user_id, losers)
        return self._user(row) if row else None

    async def identities(self, user_id: str) -> Sequence[UserIdentity]:
        return await self._read(lambda db: identities_of(db, user_id))

    async def existing(self, user_ids: Collection[str]) -> set[str]:
        return await self._read(lambda db: existing(db, user_ids))

    async def delete(self, user_id: str) -> DeletedUser | None:
        deleted: DeletedUser | None = None

        def remove(db: Connection) -> DeletedUser | None:
            nonlocal deleted
            lock_names(db, user_id)
            row = lock_user(db, user_id)  # from here on no identity or number is added
            if row is not None:  # else a first attempt, whose answer was lost, may have removed it
                deleted = DeletedUser(self._user(row), identities_of(db, user_id))
                db.execute(delete(users).where(users.c.id == user_id))
            return deleted

        return await self._write(remove)

    async def reseal(self) -> tuple[int, int]:
        """Put every phone number under the first key of the ring.

        Returns how many were moved, and how many no key of the ring opens. When
        none is left of the latter, the ring's other keys are needed no more.
        """
        return await self._database.maintain(self._reseal)

    def _find_or_create(
        self, appid: str, identity: WeChatIdentity, candidate: str, db: Connection
    ) -> UserMatch:
        rows = self._rows(db)
        owner = rows.claim_union(identity.unionid, candidate)
        owner = rows.claim_identity(appid, identity, owner)
        return self._match(db, owner, candidate)

    def _find_or_create_with_phone(
        self, appid: str, identity: WeChatIdentity, phone: Phone, candidate: str, db: Connection
    ) -> tuple[UserMatch, Sequence[str]]:
        """The match, and the users whose number it was."""
        # Nothing is trusted before it is claimed: what a claim answers stands until the
        # commit, while what was merely read may be another login's a moment later.
        rows, numbers = self._rows(db), self._numbers(db)
        likely, unionid = likely_owner(db, appid, identity)
        numbers.lock(phone, likely)
        owner = joined = numbers.claim_or_join(candidate, appid, identity, phone, self._platforms)
        owner = rows.claim_union(identity.unionid, owner)
        owner = rows.claim_identity(appid, identity, owner)
        if owner == candidate:
            self._row_of(db, candidate)
        else:
            numbers.pass_claims(candidate, owner)
        numbers.claim(owner, phone, proven=True)  # raises where the number is somebody else's
        row = numbers.lock_owners(owner)
        former = self._user(row).phone if row else None
        losers = numbers.set(owner, phone)
        match = replace(
            self._match(db, owner, candidate),
            unionid=unionid,
            has_joined=likely is None and owner == joined != candidate,
            has_new_phone=former != phone,
        )
        return match, losers

    def _bind_phone(
        self, user_id: str, phone: Phone, db: Connection, *, proven: bool, may_change: bool
    ) -> tuple[Row[Any] | None, Sequence[str]]:
        """The user's row, and the users whose number it was."""
        if by_id(db, user_id) is None:
            return None, ()
        numbers = self._numbers(db)
        numbers.lock(phone, user_id)
        numbers.claim(user_id, phone, proven=proven)
        row = numbers.lock_owners(user_id)
        if row is None:  # deleted since it was read; a repeat says so
            raise UserStoreUnavailable
        former = self._user(row).phone
        if not may_change and former not in (None, phone):
            raise LoginTooOld
        losers = numbers.set(user_id, phone)
        return by_id(db, user_id), losers

    def _tell_moved(self, owner: str, losers: Sequence[str]) -> None:
        """Have it stand with both users: one has proven the number that the other had bound."""
        if self._events is None:
            return
        for one in losers:
            self._events.record("account_linked", user=owner, reason=f"phone_of:{one}")
            self._events.record("account_linked", user=one, reason=f"phone_went_to:{owner}")

    def _match(self, db: Connection, owner: str, candidate: str) -> UserMatch:
        """The owner's user; made if the owner is the candidate."""
        return UserMatch(self._user(self._row_of(db, owner)), is_new=owner == candidate)

    def _row_of(self, db: Connection, user_id: str) -> Row[Any]:
        """The user's row, made if it is not there."""
        row = by_id(db, user_id)
        if row is None:
            self._rows(db).insert_user(user_id)
            row = by_id(db, user_id)
        assert row is not None  # noqa: S101 # it was inserted in this transaction
        return row

    def _reseal(self, db: Connection) -> tuple[int, int]:
        numbers = self._numbers(db)
        moved = lost = 0
        numbered = select(users.c.id, users.c.phone).where(users.c.phone.is_not(None))
        for row in db.execute(numbered).all():
            if self._keyring.is_current(row.phone):
                continue
            phone = self._open(row.phone, row.id)
            if phone is None:
                lost += 1
                continue
            numbers.claim(row.id, phone, proven=False)  # a proof given before is kept
            numbers.set(row.id, phone)
            moved += 1
        return moved, lost

    def _rows(self, db: Connection) -> UserRows:
        return UserRows(db, self._database.upsert)

    def _numbers(self, db: Connection) -> PhoneRows:
        return PhoneRows(db, self._keyring, self._database.upsert)

    def _user(self, row: Any) -> User:
        return User(
            id=row.id,
            nickname=row.nickname,
            # An address, where a version from before migration 0002 went on while it ran.
            avatar=row.avatar.rpartition("/")[2],
            phone=self._open(row.phone, row.id) if row.phone else None,
            ban=_ban(row),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _open(self, sealed: str, user_id: str) -> Phone | None:
        number = self._keyring.open(sealed, owner=user_id)
        return Phone(number.decode()) if number else None

    async def _find(self, appid: str, openid: str) -> Any | None:
        """The user's row, with the unionid known of this openid."""
        try:
            with sql_seconds.timed("find"), span("sql", "find"):
                found = await self._known.find(appid, openid)
        except Exception as fault:  # see _unavailable
            raise self._unavailable("read", fault) from fault
        self._works()
        return found

    async def _read(self, question: Callable[[Connection], T]) -> T:
        try:
            with sql_seconds.timed("read"), span("sql", "read"):
                found = await self._database.read(question)
        except Exception as fault:  # see _unavailable
            raise self._unavailable("read", fault) from fault
        self._works()
        return found

    async def _write(self, change: Callable[[Connection], T]) -> T:
        try:
            with sql_seconds.timed("write"), span("sql", "write"):
                async with asyncio.timeout(self._database.write_seconds):
                    made = await self._database.write(change)
        except ServiceError:
            raise
        except Exception as fault:  # see _unavailable
            raise self._unavailable("write", fault) from fault
        self._works()
        return made

    def _works(self) -> None:
        if self._outage.lasts:
            self._outage.works()

    def _unavailable(self, what: str, fault: Exception) -> UserStoreUnavailable:
        """The error to raise, after logging what failed.

        A connection that dies within a statement can raise anything, and its
        caller is owed a 503. So a bug of ours is one here too; but the log has
        its place, as it has for everything that no database should raise.
        """
        sql_failures.add(what, "timeout" if isinstance(fault, TimeoutError) else "error")
        self._outage.failed(what, name_sql_fault(fault))
        if not isinstance(fault, self._database.faults):
            log.error("sql: %s failed unexpectedly", what, exc_info=fault)
        return UserStoreUnavailable()


def _ban(row: Any) -> Ban | None:
    if row.banned_at is None:
        return None
    return Ban(row.banned_at, row.banned_until, row.ban_reason or "")


def _new_id() -> str:
    return secrets.token_urlsafe(_USER_ID_BYTES)
