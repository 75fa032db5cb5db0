"""Changes of a SQLite file: those that wait are made in one turn, and none spoils another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from service.core.errors import PhoneTaken
from service.core.models import Phone
from service.sql import sqlite
from service.sql.migrate import upgrade
from tests.contracts.test_user_store import PHONE, identity, make_store, opened
from tests.support.settings import APPID
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Connection

    from service.sql.sqlite import SqliteDatabase


@pytest.fixture
async def database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqliteDatabase]:
    """With turns that end only when nobody waits, however busy the machine is."""
    monkeypatch.setattr(sqlite, "_TURN_SECONDS", 60, raising=False)
    async with opened(f"sqlite:///{tmp_path / 'users.db'}") as database:
        await upgrade(database)
        yield cast("SqliteDatabase", database)


@pytest.fixture
def other(database: SqliteDatabase, tmp_path: Path) -> sqlite3.Connection:
    """As another process has the file open."""
    assert database
    return sqlite3.connect(tmp_path / "users.db", isolation_level=None, check_same_thread=False)


def turns(database: SqliteDatabase) -> list[Connection]:
    """One for each transaction that is begun from now on."""
    begun: list[Connection] = []
    event.listen(database._writer, "begin", begun.append)
    return begun


async def test_fifty_logins_that_wait_are_one_turn(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    store, begun = make_store(database), turns(database)
    other.execute("BEGIN IMMEDIATE")
    logins = [
        asyncio.create_task(
            store.find_or_create_with_phone(APPID, identity(f"o{n}"), Phone(f"+86 138{n:08}"))
        )
        for n in range(50)
    ]
    await asyncio.sleep(0.05)
    other.execute("COMMIT")
    found = await asyncio.gather(*logins)
    assert len({one.user.id for one in found}) == 50
    assert len(begun) == 1


def bug(_: Connection) -> None:
    raise ZeroDivisionError


def orphan(db: Connection) -> None:
    """What is found at the commit alone, as the keys are deferred."""
    db.execute(text("INSERT INTO identities (appid, openid, user_id) VALUES ('a', 'b', 'nobody')"))


def full(db: Connection) -> None:
    """As SQLite does where the disk is full: all of the transaction is gone."""
    db.connection.dbapi_connection.rollback()  # type: ignore[union-attr] # it is one
    raise OSError


@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        (bug, ZeroDivisionError),
        (orphan, IntegrityError),
        (full, OSError),
        (lambda db: db.execute(text("SELECT nothing")), OperationalError),
    ],
)
async def test_a_change_that_fails_takes_no_other_with_it(
    database: SqliteDatabase, other: sqlite3.Connection, spoilt: Any, fault: type[Exception]
) -> None:
    store = make_store(database)
    owner = (await store.find_or_create_with_phone(APPID, identity("oOwner"), PHONE)).user
    other.execute("BEGIN IMMEDIATE")
    outcomes = asyncio.gather(
        store.find_or_create(APPID, identity("oFirst")),
        store.find_or_create_with_phone(APPID, identity("oTaker"), PHONE),
        database.write(spoilt),
        store.set_nickname(owner.id, "Ada"),
        return_exceptions=True,
    )
    await asyncio.sleep(0.05)
    other.execute("COMMIT")
    found: tuple[Any, ...] = await outcomes
    first, taker, failed, renamed = found
    assert isinstance(taker, PhoneTaken)
    assert isinstance(failed, fault)
    assert (await store.find_or_create(APPID, identity("oFirst"))).user == first.user
    assert (await store.get(owner.id)) == renamed
    assert renamed.nickname == "Ada"
    # Nothing is left of who was refused.
    assert (await store.find_or_create(APPID, identity("oTaker"))).is_new


async def test_who_went_is_waited_for_by_nobody_and_changes_nothing(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    store = make_store(database)
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(store.find_or_create(APPID, identity("oFirst")))
    gone = asyncio.create_task(store.find_or_create(APPID, identity("oGone")))
    await asyncio.sleep(0.05)
    gone.cancel()
    await asyncio.sleep(0)
    other.execute("COMMIT")
    await first
    assert (await store.find_or_create(APPID, identity("oGone"))).is_new


async def test_a_file_in_which_others_make_changes_is_waited_for(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """As long as it moves: each may be one of many who log in at once."""
    held = threading.Event()

    def rush() -> None:
        for number in range(8):
            other.execute("BEGIN IMMEDIATE")
            held.set()
            other.execute("UPDATE users SET updated_at = ?", (number,))
            time.sleep(0.3)
            other.execute("COMMIT")

    store = make_store(database)
    await store.find_or_create(APPID, identity())
    rushing = asyncio.create_task(asyncio.to_thread(rush))
    await asyncio.to_thread(held.wait)
    assert (await store.find_or_create(APPID, identity("oBob"))).is_new
    await rushing


async def test_a_file_that_cannot_even_be_looked_at_is_a_fault_of_the_database(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    """And not an exception of the driver's, which would be logged as a bug of ours."""

    def refuse(_action: int, what: str | None, *_: str | None) -> int:
        return sqlite3.SQLITE_DENY if what == "data_version" else sqlite3.SQLITE_OK

    def blindfold(db: Connection) -> None:
        raw: Any = db.connection.dbapi_connection
        raw.set_authorizer(refuse)

    await database.write(blindfold)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(database.faults):
        await database.write(lambda db: db.execute(text("SELECT 1")))


async def test_a_file_that_does_not_move_is_told_to_all_at_once(
    database: SqliteDatabase, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    watch = Stopwatch()
    refused = await asyncio.gather(
        *(database.write(lambda db: db.execute(text("SELECT 1"))) for _ in range(20)),
        return_exceptions=True,
    )
    assert {type(one) for one in refused} == {OperationalError}
    assert not watch.exceeds(2.5)  # and not 20 times a second and a half
