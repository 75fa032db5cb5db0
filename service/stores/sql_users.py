"""Users in SQL: who somebody is, found or made without a race.

Every find-or-create is an upsert that returns the owner that stands, so that of
many first logins at once one makes the user and all others get that user. The
locks of a transaction are taken in one order: phones, unions, identities.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Table, delete, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from service.errors import PhoneTaken, ServiceError, UserStoreUnavailable
from service.models import Arrival, Phone, User, UserIdentity
from service.stores.sql_connection import WRITE
from service.stores.sql_schema import identities, phones, unions, users

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from service.models import WeChatIdentity
    from service.stores.keyring import Keyring
    from service.stores.outage import OutageLog

T = TypeVar("T")

DEFAULT_AVATAR: Final = "/uploads/default-avatar.png"
_PATIENCE_SECONDS: Final = 1.8
_USER_ID_BYTES: Final = 12
_NICKNAME_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

_BY_OPENID = select(users, identities.c.unionid).select_from(identities.join(users))


class _LostRace(Exception):
    """Somebody else claimed the same identity meanwhile; look again."""


class SqlUsers:
    """The UserStore port over SQLAlchemy; the same statements serve both databases."""

    def __init__(self, engine: AsyncEngine, keyring: Keyring, outage: OutageLog) -> None:
        """`keyring` seals phone numbers and makes the fingerprints that find them."""
        self._engine = engine
        postgres = engine.dialect.name == "postgresql"
        # On SQLite a lone read is its own transaction anyway.
        self._reader = (
            engine.execution_options(isolation_level="AUTOCOMMIT") if postgres else engine
        )
        self._writer = engine.execution_options(**{WRITE: True})
        self._keyring = keyring
        self._outage = outage
        self._upsert = postgresql.insert if postgres else sqlite.insert

    async def arrive(self, appid: str, identity: WeChatIdentity) -> Arrival:
        """The user of this identity, made if new. A known one costs one read."""
        known = await self._read(lambda db: self._by_openid(db, appid, identity.openid))
        if known and identity.unionid in (None, known.unionid):
            return Arrival(self._user(known), is_new=False)
        return await self._write(lambda db: self._arrive(db, appid, identity))

    async def arrive_with_phone(
        self, appid: str, identity: WeChatIdentity, phone: Phone
    ) -> Arrival:
        """The user of this identity, with this phone number.

        A known identity gets the number. An unknown one joins the owner of the
        number, unless that owner has another identity of this mini-program.
        Raises PhoneTaken rather than ever merging or moving anything.
        """
        return await self._write(lambda db: self._arrive_with_phone(db, appid, identity, phone))

    async def get(self, user_id: str) -> User | None:
        """The user, or None."""
        row = await self._read(lambda db: _one(db, select(users).where(users.c.id == user_id)))
        return self._user(row) if row else None

    async def set_profile(
        self, user_id: str, *, nickname: str | None = None, avatar: str | None = None
    ) -> User | None:
        """Change what is given; None when there is no such user."""
        values = {"nickname": nickname, "avatar": avatar}
        return await self._change(user_id, {k: v for k, v in values.items() if v is not None})

    async def bind_phone(self, user_id: str, phone: Phone) -> User | None:
        """Give the user this number instead of any other; raises PhoneTaken."""

        async def bind(db: AsyncConnection) -> bool:
            if not await _one(db, select(users.c.id).where(users.c.id == user_id)):
                return False
            await self._claim_phone(db, user_id, phone)
            await self._set_phone(db, user_id, phone)
            return True

        return await self.get(user_id) if await self._write(bind) else None

    async def identities(self, user_id: str) -> Sequence[UserIdentity]:
        """All that WeChat calls this user."""
        statement = select(identities).where(identities.c.user_id == user_id)
        rows = await self._read(lambda db: _all(db, statement))
        return [UserIdentity(row.appid, row.openid, row.unionid) for row in rows]

    async def delete(self, user_id: str) -> bool:
        """Remove the user and all that belongs to them; False when there was none."""

        async def remove(db: AsyncConnection) -> bool:
            gone = await db.execute(delete(users).where(users.c.id == user_id))
            return bool(gone.rowcount)

        return await self._write(remove)

    async def reseal(self) -> tuple[int, int]:
        """Put every phone number under the first key of the ring.

        Returns how many were moved, and how many no key of the ring opens. When
        none is left of the latter, the ring's other keys are needed no more.
        """

        async def move(db: AsyncConnection) -> tuple[int, int]:
            moved = lost = 0
            rows = await _all(
                db, select(users.c.id, users.c.phone).where(users.c.phone.is_not(None))
            )
            for row in rows:
                if self._keyring.is_current(row.phone):
                    continue
                phone = self._open(row.phone, row.id)
                if phone is None:
                    lost += 1
                    continue
                await self._claim_phone(db, row.id, phone)
                await self._set_phone(db, row.id, phone)
                moved += 1
            return moved, lost

        return await self._write(move, patience=600)

    async def ping(self) -> None:
        """Return when the database answers; raises UserStoreUnavailable."""
        await self._read(lambda db: _one(db, select(1)))

    async def _arrive(self, db: AsyncConnection, appid: str, identity: WeChatIdentity) -> Arrival:
        candidate = _new_id()
        owner = await self._claim_union(db, identity.unionid, candidate)
        owner = await self._claim_identity(db, appid, identity, owner)
        return await self._arrived(db, owner, candidate)

    async def _arrive_with_phone(
        self, db: AsyncConnection, appid: str, identity: WeChatIdentity, phone: Phone
    ) -> Arrival:
        candidate = _new_id()
        claimant = await self._known(db, appid, identity) or candidate
        try:
            owner = await self._claim_phone(db, claimant, phone)
        except PhoneTaken as taken:
            if claimant != candidate or await self._has_identity(db, taken.owner, appid):
                raise
            owner = taken.owner
            # What the number's other fingerprints were claimed as is the owner's too.
            await db.execute(
                update(phones).where(phones.c.user_id == candidate).values(user_id=owner)
            )
        await self._claim_union(db, identity.unionid, owner)
        if await self._claim_identity(db, appid, identity, owner) != owner:
            raise _LostRace
        if owner == candidate:
            await self._insert_user(db, candidate)
        await self._set_phone(db, owner, phone)
        return await self._arrived(db, owner, candidate)

    async def _arrived(self, db: AsyncConnection, owner: str, candidate: str) -> Arrival:
        """Make the user if the claims fell to the candidate, and read the row that stands."""
        row = await _one(db, select(users).where(users.c.id == owner))
        is_new = owner == candidate
        if row is None:
            await self._insert_user(db, owner)
            row = await _one(db, select(users).where(users.c.id == owner))
        return Arrival(self._user(row), is_new=is_new)

    async def _known(self, db: AsyncConnection, appid: str, identity: WeChatIdentity) -> str | None:
        """The user of this openid, else of this unionid."""
        row = await self._by_openid(db, appid, identity.openid)
        if row is None and identity.unionid is not None:
            row = await _one(
                db, select(unions.c.user_id.label("id")).where(unions.c.unionid == identity.unionid)
            )
        return str(row.id) if row else None

    async def _claim_identity(
        self, db: AsyncConnection, appid: str, identity: WeChatIdentity, owner: str
    ) -> str:
        """Whose this identity is, after claiming it for `owner`; keeps a unionid that appeared."""
        row = {"appid": appid, "openid": identity.openid, "unionid": identity.unionid}
        settled = await self._claim(db, identities, ["appid", "openid"], row, owner)
        if identity.unionid is not None:
            await db.execute(
                update(identities)
                .where(identities.c.appid == appid, identities.c.openid == identity.openid)
                .values(unionid=identity.unionid)
            )
            if settled != owner:
                # The openid counts more than the unionid. A union claimed a moment
                # ago for nobody goes to its user; one of another user stays theirs.
                await db.execute(
                    update(unions)
                    .where(unions.c.unionid == identity.unionid, unions.c.user_id == owner)
                    .where(~exists().where(users.c.id == owner))
                    .values(user_id=settled)
                )
        return settled

    async def _claim_union(self, db: AsyncConnection, unionid: str | None, owner: str) -> str:
        if unionid is None:
            return owner
        return await self._claim(db, unions, ["unionid"], {"unionid": unionid}, owner)

    async def _claim_phone(self, db: AsyncConnection, owner: str, phone: Phone) -> str:
        """Claim the number under every key of the ring; raises PhoneTaken naming its owner."""
        # Sorted: two processes whose rings differ in order must not wait for each other.
        for fingerprint in sorted(self._keyring.fingerprints(phone.number)):
            row = {"fingerprint": fingerprint}
            settled = await self._claim(db, phones, ["fingerprint"], row, owner)
            if settled != owner:
                raise PhoneTaken(owner=settled)
        return owner

    async def _claim(
        self, db: AsyncConnection, table: Table, key: list[str], row: dict[str, Any], owner: str
    ) -> str:
        """Insert unless the key is taken; whose it is then. Waits for others who claim it."""
        statement = self._upsert(table).values(**row, user_id=owner)
        unchanged = {key[0]: statement.excluded[key[0]]}
        claimed = statement.on_conflict_do_update(index_elements=key, set_=unchanged)
        return str((await db.execute(claimed.returning(table.c.user_id))).scalar_one())

    async def _set_phone(self, db: AsyncConnection, user_id: str, phone: Phone) -> None:
        fingerprints = self._keyring.fingerprints(phone.number)
        await db.execute(
            delete(phones).where(
                phones.c.user_id == user_id, phones.c.fingerprint.not_in(fingerprints)
            )
        )
        sealed = self._keyring.seal(phone.number.encode(), owner=user_id)
        await db.execute(
            update(users)
            .where(users.c.id == user_id)
            .values(phone=sealed, updated_at=int(time.time()))
        )

    async def _has_identity(self, db: AsyncConnection, user_id: str, appid: str) -> bool:
        statement = select(identities.c.openid).where(
            identities.c.user_id == user_id, identities.c.appid == appid
        )
        return await _one(db, statement) is not None

    async def _insert_user(self, db: AsyncConnection, user_id: str) -> None:
        now = int(time.time())
        letters = "".join(secrets.choice(_NICKNAME_LETTERS) for _ in range(6))
        await db.execute(
            insert(users).values(
                id=user_id,
                nickname=f"用户{letters}",
                avatar=DEFAULT_AVATAR,
                created_at=now,
                updated_at=now,
            )
        )

    async def _by_openid(self, db: AsyncConnection, appid: str, openid: str) -> Row[Any] | None:
        return await _one(
            db, _BY_OPENID.where(identities.c.appid == appid, identities.c.openid == openid)
        )

    async def _change(self, user_id: str, values: dict[str, Any]) -> User | None:
        statement = (
            update(users)
            .where(users.c.id == user_id)
            .values(**values, updated_at=int(time.time()))
            .returning(*users.c)
        )
        row = await self._write(lambda db: _one(db, statement))
        return self._user(row) if row else None

    def _user(self, row: Any) -> User:
        return User(
            id=row.id,
            nickname=row.nickname,
            avatar=row.avatar,
            phone=self._open(row.phone, row.id) if row.phone else None,
            banned=row.banned_at is not None,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _open(self, sealed: str, user_id: str) -> Phone | None:
        number = self._keyring.open(sealed, owner=user_id)
        return Phone(number.decode()) if number else None

    async def _read(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def ask() -> T:
            async with self._reader.connect() as db:
                return await question(db)

        return await self._guarded("read", ask)

    async def _write(
        self,
        change: Callable[[AsyncConnection], Awaitable[T]],
        *,
        patience: float = _PATIENCE_SECONDS,
    ) -> T:
        async def transact() -> T:
            while True:
                try:
                    async with self._writer.begin() as db:
                        return await change(db)
                except _LostRace:
                    continue

        return await self._guarded("write", transact, patience=patience)

    async def _guarded(
        self, what: str, act: Callable[[], Awaitable[T]], *, patience: float = _PATIENCE_SECONDS
    ) -> T:
        """Act within the time there is, once more on a new connection if the old one was dead.

        Acting twice is safe: every change is an upsert or sets what it is given.
        """
        try:
            async with asyncio.timeout(patience):
                try:
                    return await act()
                except DBAPIError as fault:
                    if not fault.connection_invalidated:
                        raise
                    return await act()
        except ServiceError:
            raise
        except Exception as fault:
            self._outage.failed(f"sql {what}", fault)
            raise UserStoreUnavailable from fault


async def _one(db: AsyncConnection, statement: Any) -> Row[Any] | None:
    return (await db.execute(statement)).first()


async def _all(db: AsyncConnection, statement: Any) -> Sequence[Row[Any]]:
    return (await db.execute(statement)).all()


def _new_id() -> str:
    return secrets.token_urlsafe(_USER_ID_BYTES)
