"""SQLite in a file, without a thread where none is needed."""

from __future__ import annotations

import asyncio
import math
import secrets
import sqlite3
import time
from collections import deque, namedtuple
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from service.private_files import make_private
from service.sql.database import TIMEOUT_SECONDS, change_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine, Insert, Select, Table
    from sqlalchemy.engine import URL

T = TypeVar("T")

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",  # readers do not wait for the writer
    "PRAGMA synchronous=NORMAL",  # safe with WAL however the process ends
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # who is deleted is overwritten
)
_WRITE_SECONDS: Final = 4.0
"""How long a request waits for a change: while the file takes any, a rush is waited out."""
_BUSY_SECONDS: Final = 1.5
"""How long one waits for its turn while nobody makes a change."""
_LOOK_SECONDS: Final = 0.005
"""How often, at most. SQLite itself would look every tenth of a second only, by the end."""
_TURN_SECONDS: Final = 0.1
"""How long a process makes changes before another one may."""
_MIGRATION_SECONDS: Final = 600.0
"""How long a migration waits for them: nobody waits because it does."""
_BUSY: Final = "SQLITE_BUSY"
"""What the names of such faults begin with."""
_FILES: Final = ("", "-wal", "-shm", "-journal")
"""The database, and what SQLite keeps beside it, made with the same mode."""


class SqliteDatabase:
    """The SqlDatabase port.

    A read of an indexed row takes some 30 microseconds, and with WAL it never
    waits for a writer: it is done at once, on the event loop, where a way
    through a thread would cost several times as much. Changes are made in one
    thread, and all that wait in one transaction, each in a savepoint of its own: so a
    process stands in the file's queue once, not once per request.
    """

    faults: Final = (SQLAlchemyError, OSError)
    write_seconds: Final = _WRITE_SECONDS
    dialect: Final = "sqlite"
    is_remote: Final = False

    def __init__(self, url: URL) -> None:
        self._url = url
        make_private(*(Path(f"{url.database}{suffix}") for suffix in _FILES))
        self._reader = _engine(url, busy_seconds=0)
        self._writer = _writing_engine(url, standing=_BUSY_SECONDS, moving=_WRITE_SECONDS)
        self._waiting: deque[_Waiting] = deque()
        self._in_doubt = False
        self._changing = False
        self.changed_at = -math.inf
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._reading: Connection | None = None

    def pool_use(self) -> tuple[int, int]:
        # Of the one that makes changes: reads are over before anybody could look.
        return int(self._changing), 1

    def upsert(self, table: Table) -> Insert:
        return sqlite.insert(table)

    async def read(self, question: Callable[[Connection], T]) -> T:
        try:
            return question(self._open_reading())
        except OperationalError:
            # Rare: somebody has the whole file locked, perhaps for a moment only.
            self._stop_reading()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self.write(question)

    async def first(self, statement: Select[Any], **values: str) -> Any | None:
        # By the driver itself: SQLAlchemy takes three times as long around such a statement as
        # the driver takes for it, also where it has compiled it before.
        asked = _Asked.of(statement)
        try:
            raw: Any = self._open_reading().connection.dbapi_connection
            found = raw.execute(asked.text, [values[name] for name in asked.names]).fetchone()
        except (sqlite3.Error, SQLAlchemyError):
            # Again, by SQLAlchemy: whose faults are told from bugs, and it waits for a lock.
            return await self.read(lambda db: db.execute(statement, values).first())
        return asked.row(*found) if found else None

    async def write(self, change: Callable[[Connection], T]) -> T:
        waiting = _Waiting(change, time.monotonic())
        self._waiting.append(waiting)
        self._thread.submit(self._take_turn)
        try:
            made: T = await asyncio.wrap_future(waiting.outcome)
        except SQLAlchemyError as fault:
            name = getattr(getattr(fault, "orig", None), "sqlite_errorname", _BUSY)
            if not name.startswith(_BUSY):
                # Opened anew: a file that was found read-only would be so for ever.
                self._in_doubt = True
                self._stop_reading()
                self._reader.dispose()
                # By the thread that uses it: who takes a connection just then would wait for one.
                with suppress(RuntimeError):  # it has been closed since
                    self._thread.submit(self._writer.dispose)
            raise
        self._in_doubt = False
        self.changed_at = time.monotonic()
        return made

    async def probe(self, question: Callable[[Connection], T], *, table: Table) -> T:
        def ask(db: Connection) -> T:
            db.execute(change_nothing(table))
            if self._in_doubt:  # of a full disk, say, which shows when something is written
                db.exec_driver_sql("PRAGMA user_version = 0")
            return question(db)

        return await self.write(ask)

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        engine = _writing_engine(self._url, standing=_MIGRATION_SECONDS, moving=_MIGRATION_SECONDS)

        def transact() -> T:
            with engine.begin() as db:
                return work(db)

        try:
            return await asyncio.to_thread(transact)
        finally:
            engine.dispose()

    async def aclose(self) -> None:
        self._thread.shutdown()
        self._stop_reading()
        self._reader.dispose()
        self._writer.dispose()

    def _open_reading(self) -> Connection:
        # Kept open, as no statement of it begins a transaction that would go on to see
        # an old state: to take it out of a pool each time costs as much as the read.
        self._reading = self._reading or self._reader.connect()
        return self._reading

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = None

    def _take_turn(self) -> None:
        """Make the changes that wait, and tell of them once they are committed."""
        made: list[_Waiting] = []
        first = self._next()
        if first is None:  # another turn has made it
            return
        self._changing = True
        try:
            with self._writer.begin() as db:
                until = time.monotonic() + _TURN_SECONDS
                one: _Waiting | None = first
                while one is not None:
                    made.append(one)
                    one.make(db)
                    one = self._next() if time.monotonic() < until else None
        except Exception as fault:  # noqa: BLE001 # it is whose change it was
            if not made:
                self._refuse(first, fault)
            elif len(made) == 1:
                first.outcome.set_exception(fault)
            else:
                for alone in made:  # none was made, and it may be the fault of one of them
                    self._make_alone(alone)
        else:
            for one in made:
                one.tell()
        self._changing = False
        if self._waiting:  # whose own turns are in the thread's queue
            time.sleep(_LOOK_SECONDS)  # in which another process takes its turn

    def _make_alone(self, waiting: _Waiting) -> None:
        try:
            with self._writer.begin() as db:
                found = waiting.change(db)
        except Exception as fault:  # noqa: BLE001 # as above
            waiting.outcome.set_exception(fault)
        else:
            waiting.outcome.set_result(found)

    def _refuse(self, first: _Waiting, fault: Exception) -> None:
        """The file is locked for long: tell it to all who would wait too long for another look."""
        first.outcome.set_exception(fault)
        latest = time.monotonic() + _BUSY_SECONDS - TIMEOUT_SECONDS
        while self._waiting and self._waiting[0].since < latest:
            one = self._next()
            if one is not None:
                one.outcome.set_exception(fault)

    def _next(self) -> _Waiting | None:
        """The next that somebody still waits for."""
        while self._waiting:
            one = self._waiting.popleft()
            if one.outcome.set_running_or_notify_cancel():
                return one
        return None


class _Asked:
    """A statement as the driver takes it."""

    def __init__(self, statement: Select[Any]) -> None:
        compiled = statement.compile(dialect=sqlite.dialect())
        self.text = str(compiled)
        self.names = compiled.positiontup or ()
        self.row = namedtuple("Row", statement.selected_columns.keys())  # type: ignore[misc] # noqa: PYI024

    @classmethod
    @lru_cache
    def of(cls, statement: Select[Any]) -> _Asked:
        """Made once for each statement, which is known by its object."""
        return cls(statement)


class _Waiting:
    """A change that waits for its turn, since some time."""

    def __init__(self, change: Callable[[Connection], Any], since: float) -> None:
        self.change = change
        self.since = since
        self.outcome: Future[Any] = Future()
        self._found: Any = None
        self._fault: Exception | None = None

    def make(self, db: Connection) -> None:
        """Make it, or leave nothing of it; raises what ends the whole transaction."""
        self._found = self._fault = None
        try:
            with db.begin_nested():
                self._found = self.change(db)
        except Exception as fault:
            raw: Any = db.connection.dbapi_connection
            if not raw.in_transaction:  # as SQLite does where the disk is full
                raise
            self._fault = fault

    def tell(self) -> None:
        """Give the outcome to who waits for it."""
        if self._fault is None:
            self.outcome.set_result(self._found)
        else:
            self.outcome.set_exception(self._fault)


def _writing_engine(url: URL, *, standing: float, moving: float) -> Engine:
    """One whose transactions take their turn at the start; how long they wait for that, in seconds.

    One that read first and wrote later could find the file changed in between, and fail.
    `standing`: while nobody makes a change; `moving`: in all.
    """
    engine = _engine(url, busy_seconds=standing)
    event.listen(engine, "begin", partial(_begin_immediate, standing=standing, moving=moving))
    return engine


def _engine(url: URL, *, busy_seconds: float) -> Engine:
    engine = create_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
    event.listen(engine, "connect", partial(_prepare, busy_ms=int(busy_seconds * 1000)))
    return engine


def _prepare(connection: Any, _record: object, *, busy_ms: int) -> None:
    connection.isolation_level = None  # transactions begin where _begin_immediate says
    cursor = connection.cursor()
    # Connected, it is not SQLite that waits: see _begin_immediate.
    for pragma in (f"PRAGMA busy_timeout={busy_ms}", *_PRAGMAS, "PRAGMA busy_timeout=0"):
        _execute(cursor, pragma, within=busy_ms / 1000)
    cursor.close()


def _execute(cursor: sqlite3.Cursor, pragma: str, *, within: float) -> None:
    """Also where SQLite does not wait: for one of several that make a new file a WAL's at once."""
    give_up = time.monotonic() + within
    while True:
        try:
            cursor.execute(pragma)
        except sqlite3.OperationalError as fault:
            if not fault.sqlite_errorname.startswith(_BUSY) or time.monotonic() > give_up:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _begin_immediate(connection: Connection, *, standing: float, moving: float) -> None:
    """Take the file's turn; waits for it as long as others make changes meanwhile."""
    raw: Any = connection.connection.dbapi_connection
    began = moved = time.monotonic()
    version = None
    while min(moved + standing, began + moving) > time.monotonic():
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as fault:
            if not fault.sqlite_errorname.startswith(_BUSY):
                break
            # By SQLAlchemy, whose faults are told from bugs.
            seen, version = version, connection.exec_driver_sql("PRAGMA data_version").scalar()
            if seen != version:
                moved = time.monotonic()
            time.sleep(_LOOK_SECONDS * secrets.randbelow(1000) / 1000)  # not in step with others
        else:
            return
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # which raises as SQLAlchemy does
