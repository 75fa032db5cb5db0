"""SQLite in a file, without a thread where none is needed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from service.private_files import make_private
from service.sql.database import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine, Insert, Table
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
"""How long a turn is waited for while nobody makes a change."""
_LOOK_SECONDS: Final = 0.005
"""How often, at most. SQLite itself would look every tenth of a second only, by the end."""
_TURN_SECONDS: Final = 0.1
"""How long a process makes changes before another one may."""

_PRIMARY: Final = 0xFF
"""The part of SQLite's error codes that says what kind it is."""
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

    def __init__(self, url: URL) -> None:
        make_private(*(Path(f"{url.database}{suffix}") for suffix in _FILES))
        self._reader = _engine(url, busy_seconds=0)
        self._writer = _engine(url, busy_seconds=_BUSY_SECONDS)
        # One that read first and wrote later could find the file changed in
        # between and fail: a change takes its turn at the start.
        event.listen(self._writer, "begin", _begin_immediate)
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._reading: Connection | None = None

    def upsert(self, table: Table) -> Insert:
        return sqlite.insert(table)

    async def read(self, question: Callable[[Connection], T]) -> T:
        try:
            # Kept open, as no statement of it begins a transaction that would go on to see
            # an old state: to take it out of a pool each time costs as much as the read.
            self._reading = self._reading or self._reader.connect()
            return question(self._reading)
        except OperationalError:
            # Rare: somebody has the whole file locked, perhaps for a moment only.
            self._stop_reading()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self.write(question)

    async def write(self, change: Callable[[Connection], T]) -> T:
        waiting = _Waiting(change, time.monotonic())
        self._waiting.append(waiting)
        self._thread.submit(self._take_turn)
        made: T = await asyncio.wrap_future(waiting.outcome)
        return made

    async def aclose(self) -> None:
        self._thread.shutdown()
        self._stop_reading()
        self._reader.dispose()
        self._writer.dispose()

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
        if self._waiting:
            self._thread.submit(self._take_turn)
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


def _engine(url: URL, *, busy_seconds: float) -> Engine:
    engine = create_engine(url, pool_size=1, max_overflow=0)
    event.listen(engine, "connect", partial(_prepare, busy_ms=int(busy_seconds * 1000)))
    return engine


def _prepare(connection: Any, _record: object, *, busy_ms: int) -> None:
    connection.isolation_level = None  # transactions begin where _begin_immediate says
    cursor = connection.cursor()
    # Connected, it is not SQLite that waits: see _begin_immediate.
    for pragma in (f"PRAGMA busy_timeout={busy_ms}", *_PRAGMAS, "PRAGMA busy_timeout=0"):
        cursor.execute(pragma)
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the file's turn; waits for it as long as others make changes meanwhile."""
    raw: Any = connection.connection.dbapi_connection
    began = moved = time.monotonic()
    version = None
    while min(moved + _BUSY_SECONDS, began + _WRITE_SECONDS) > time.monotonic():
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY:
                break
            seen, version = version, raw.execute("PRAGMA data_version").fetchone()
            if seen != version:
                moved = time.monotonic()
            time.sleep(random.uniform(0, _LOOK_SECONDS))  # noqa: S311 # only to not keep step
        else:
            return
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # which raises as SQLAlchemy does
