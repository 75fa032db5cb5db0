"""SQLite in a file, without a thread where none is needed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from service.private_files import make_private
from service.sql.database import TIMEOUT_SECONDS, change_nothing

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
_BUSY_TIMEOUT_MS: Final = 1500
"""How long a change waits for those of other processes."""
_TURN_MS: Final = 600_000
"""How long a migration waits for them: nobody waits because it does."""
_BUSY: Final = "SQLITE_BUSY"

_FILES: Final = ("", "-wal", "-shm", "-journal")
"""The database, and what SQLite keeps beside it, made with the same mode."""


class SqliteDatabase:
    """The SqlDatabase port.

    A read of an indexed row takes some 30 microseconds, and with WAL it never
    waits for a writer: it is done at once, on the event loop, where a way
    through a thread would cost several times as much. Changes take turns in one
    thread; so a process stands in the file's queue once, not once per request.
    """

    faults: Final = (SQLAlchemyError, OSError)
    dialect: Final = "sqlite"

    def __init__(self, url: URL) -> None:
        self._url = url
        make_private(*(Path(f"{url.database}{suffix}") for suffix in _FILES))
        self._reader = _engine(url, busy_ms=0)
        self._writer = _writing_engine(url, busy_ms=_BUSY_TIMEOUT_MS)
        self._in_doubt = False
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
        loop = asyncio.get_running_loop()
        try:
            done = await loop.run_in_executor(self._thread, partial(self._transact, change))
        except SQLAlchemyError as fault:
            name = getattr(getattr(fault, "orig", None), "sqlite_errorname", _BUSY)
            if not name.startswith(_BUSY):
                # Opened anew: a file that was found read-only would be so for ever.
                self._in_doubt = True
                self._stop_reading()
                self._reader.dispose()
                self._writer.dispose()
            raise
        self._in_doubt = False
        return done

    async def probe(self, question: Callable[[Connection], T], *, table: Table) -> T:
        def ask(db: Connection) -> T:
            db.execute(change_nothing(table))
            if self._in_doubt:  # of a full disk, say, which shows when something is written
                db.exec_driver_sql("PRAGMA user_version = 0")
            return question(db)

        return await self.write(ask)

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        engine = _writing_engine(self._url, busy_ms=_TURN_MS)

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

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = None

    def _transact(self, change: Callable[[Connection], T]) -> T:
        with self._writer.begin() as db:
            return change(db)


def _writing_engine(url: URL, *, busy_ms: int) -> Engine:
    engine = _engine(url, busy_ms=busy_ms)
    # One that read first and wrote later could find the file changed in
    # between and fail: a change takes its turn at the start.
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _engine(url: URL, *, busy_ms: int) -> Engine:
    engine = create_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
    event.listen(engine, "connect", partial(_prepare, busy_ms=busy_ms))
    return engine


def _prepare(connection: Any, _record: object, *, busy_ms: int) -> None:
    connection.isolation_level = None  # transactions begin where _begin_immediate says
    cursor = connection.cursor()
    for pragma in (f"PRAGMA busy_timeout={busy_ms}", *_PRAGMAS):
        cursor.execute(pragma)
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
