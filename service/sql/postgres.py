"""PostgreSQL by asyncpg."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import secrets
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import asyncpg
from asyncpg import InterfaceError, PostgresError
from sqlalchemy import event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service.sql.database import TIMEOUT_SECONDS, change_nothing
from service.sql.faults import NotInTime
from service.sql.places import Places

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from sqlalchemy import Connection, Insert, Select, Table
    from sqlalchemy.engine import URL, ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
_Act: TypeAlias = "Callable[[float | None, _Stage], Awaitable[T]]"

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 1.0
STATEMENT_SECONDS: Final = 1.5
_FIRST_ATTEMPT_SECONDS: Final = 0.7
"""After that a second one is made, on a connection that has been seen to live."""
_PATIENCE_SECONDS: Final = 1.5
"""How long one waits for a connection while nobody is answered."""
_WRITE_SECONDS: Final = 4.5
"""How long a request waits for a change in all: while others are answered, a rush is waited out."""
_IDLE_SECONDS: Final = 1.0
"""A connection that lay longer is asked before it is used."""
_PING_SECONDS: Final = 0.25
_CLOSE_SECONDS: Final = 0.15
_PAUSE_SECONDS: Final = 0.2
"""Before a second attempt to connect to a server that has no room, or just starts."""
_LOCK_SECONDS: Final = 3
"""How long a migration waits for a lock: whoever comes after it waits as long."""
_TURN_SECONDS: Final = 600
"""How long one waits for others that migrate."""
_MAINTENANCE: Final = 0x6D696E69  # of our own choice, and the same in every version

_LOST_STATEMENT: Final = "26000"
_NO_ROOM: Final = frozenset({"53300", "57P03"})
_GONE: Final = frozenset(
    {
        "25006",  # read-only: the primary that it was is a replica now
        "25P03",  # ended by the server for being idle
        "57P01",
        "57P02",  # shut down, by an administrator or a crash
        "57P05",
    }
)
_BROKEN: Final = (OSError, InterfaceError, asyncpg.InternalClientError)
"""What has no SQLSTATE, and comes of a connection that ends in the midst of something."""
_CONNECTION_CLASS: Final = "08"
_PLAN_CHANGED: Final = "0A000"

_KEEP_ALIVE: Final = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    # Below the five minutes after which balancers and address translation forget who is silent.
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 30),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, 10_000),  # ms that what was sent may go unconfirmed
)


class PostgresDatabase:
    """The SqlDatabase port.

    A connection may be dead and say nothing, or lead to a server that takes changes
    no more. What shows that replaces every connection that is as old, and what
    was asked is asked once more. Acting twice is safe: every change is an upsert or
    sets what it is given, and ids are made before the first attempt.
    """

    # What asyncpg raises while it connects is not translated by SQLAlchemy.
    faults: Final = (SQLAlchemyError, PostgresError, InterfaceError, OSError)
    write_seconds: Final = _WRITE_SECONDS
    dialect: Final = "postgresql"
    is_remote: Final = True

    def __init__(self, url: URL, arguments: Mapping[str, Any], *, pool_size: int) -> None:
        """`arguments`: what asyncpg is told besides, such as `ssl`.

        With `statement_cache_size` 0 among them no statement is kept prepared.
        """
        self._url = url
        self._arguments = arguments
        self._pool_size = pool_size
        self.changed_at = -math.inf
        self._places = Places(
            pool_size, patience=_PATIENCE_SECONDS, longest=_WRITE_SECONDS - TIMEOUT_SECONDS
        )
        self._suspect_before = 0.0
        self._keeps_statements = arguments.get("statement_cache_size") != 0
        self._engine, self._reader = self._open()

    def pool_use(self) -> tuple[int, int]:
        return self._pool_size - self._places.free, self._pool_size

    def upsert(self, table: Table) -> Insert:
        return postgresql.insert(table)

    async def read(self, question: Callable[[Connection], T]) -> T:
        async def ask(seconds: float | None, stage: _Stage) -> T:
            async with self._reader.connect() as db, asyncio.timeout(seconds):
                stage.connected = True
                return await db.run_sync(question)

        return await self._twice(ask)

    async def first(self, statement: Select[Any], **values: str) -> Any | None:
        return await self.read(lambda db: db.execute(statement, values).first())

    async def write(self, change: Callable[[Connection], T]) -> T:
        async def transact(seconds: float | None, stage: _Stage) -> T:
            async with self._engine.connect() as db, asyncio.timeout(seconds):
                stage.connected = True
                done = await db.run_sync(change)
                await db.commit()
                return done

        made = await self._twice(transact)
        self.changed_at = time.monotonic()
        return made

    async def probe(self, question: Callable[[Connection], T], *, table: Table) -> T:
        def ask(db: Connection) -> T:
            db.execute(text(f"SET LOCAL lock_timeout = '{_FIRST_ATTEMPT_SECONDS}s'"))
            db.execute(change_nothing(table))
            found = question(db)
            db.rollback()
            return found

        return await self.write(ask)

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        engine = create_async_engine(
            self._url,
            # Nobody knows how long an index takes.
            connect_args=self._connect_arguments(keep=False) | {"command_timeout": None},
            poolclass=NullPool,
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", _keep_alive)

        def take_turn(db: Connection) -> T:
            # Of the transaction, not of the session: a pooler may give each to another server.
            turn = {"turn": _MAINTENANCE}
            if not db.scalar(text("SELECT pg_try_advisory_xact_lock(:turn)"), turn):
                log.info("another one works on the database: waiting for my turn")
                db.execute(text(f"SET LOCAL lock_timeout = '{_TURN_SECONDS}s'"))
                db.execute(text(f"SET LOCAL statement_timeout = '{_TURN_SECONDS}s'"))
                db.execute(text("SELECT pg_advisory_xact_lock(:turn)"), turn)
            db.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
            db.execute(text("SET LOCAL statement_timeout = 0"))
            return work(db)

        try:
            async with engine.begin() as db:
                return await db.run_sync(take_turn)
        finally:
            await engine.dispose()

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _twice(self, act: _Act[T]) -> T:
        """What `act` returns, told how long it may take; again if a connection fails it."""
        stage = _Stage()
        async with self._places.one():
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    return await self._try_twice(act, stage)
            except TimeoutError as fault:
                raise NotInTime(stage.in_words()) from fault

    async def _try_twice(self, act: _Act[T], stage: _Stage) -> T:
        engine, began = self._engine, time.monotonic()
        try:
            return await act(_FIRST_ATTEMPT_SECONDS, stage)
        except TimeoutError:
            # Either one connection or the whole database. From now on each is asked first.
            self._suspect_before = max(self._suspect_before, began)
        except Exception as fault:
            state = sqlstate(fault)
            if state == _LOST_STATEMENT and self._keeps_statements:
                await self._keep_no_statements(engine)
            elif state in _NO_ROOM:
                await asyncio.sleep(_PAUSE_SECONDS)
            elif not (_is_gone(fault, state) or state in (_LOST_STATEMENT, _PLAN_CHANGED)):
                raise
        stage.connected = False
        return await act(None, stage)

    async def _keep_no_statements(self, engine: AsyncEngine) -> None:
        """From now on prepare statements for one use only, on connections of their own."""
        if self._engine is engine:
            log.warning(
                "sql: statements do not stay prepared, as behind a pooler in transaction mode:"
                " none are kept any more; ?statement_cache_size=0 in DATABASE_URL says so at once"
            )
            self._keeps_statements = False
            self._engine, self._reader = self._open()
            await engine.dispose()  # those in use end when they are given back

    def _open(self) -> tuple[AsyncEngine, AsyncEngine]:
        """One for changes, and the same one for reads."""
        engine = create_async_engine(
            self._url,
            connect_args={
                "command_timeout": STATEMENT_SECONDS,
                **self._connect_arguments(keep=self._keeps_statements),
            },
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=STATEMENT_SECONDS,
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", _keep_alive)
        event.listen(engine.sync_engine, "checkin", partial(self._note_use, engine))
        event.listen(engine.sync_engine, "checkout", self._ask_first)
        event.listen(engine.sync_engine, "handle_error", _replace_what_is_gone)
        # A lone statement needs no BEGIN and COMMIT around it: two round trips less.
        return engine, engine.execution_options(isolation_level="AUTOCOMMIT")

    def _connect_arguments(self, *, keep: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "timeout": CONNECT_SECONDS,
            "connection_class": _Connection,
            **self._arguments,
            # asyncpg's own cache: it counts its names, so those of two processes are the same,
            # and behind a pooler one would run the other's. Without it, it names nothing.
            "statement_cache_size": 0,
        }
        if keep:  # SQLAlchemy's, by names that nobody else has
            return {**arguments, "prepared_statement_name_func": _unique_names()}
        return {**arguments, "prepared_statement_cache_size": 0}

    def _note_use(
        self, engine: AsyncEngine, _connection: object, record: ConnectionPoolEntry
    ) -> None:
        if engine is self._engine:
            record.info["used"] = time.monotonic()
        else:
            record.invalidate()

    def _ask_first(self, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        """Ask a connection that may have died in silence, or replace it and all as old."""
        used = record.info.get("used")
        if used is None:  # new
            return
        if used < self._suspect_before or time.monotonic() - used > _IDLE_SECONDS:
            try:
                connection.run_async(_ping)
            except (OSError, *self.faults) as fault:  # a time-out is an OSError
                raise InvalidatePoolError from fault


class _Stage:
    """How far a statement has come."""

    __slots__ = ("connected",)

    def __init__(self) -> None:
        self.connected = False

    def in_words(self) -> str:
        """What has taken too long."""
        return "a statement timed out" if self.connected else "no connection was made in time"


class _Connection(asyncpg.Connection):  # type: ignore[misc] # which has no types
    """One that says farewell quickly.

    SQLAlchemy gives it two seconds for that, which is more than a request has.
    """

    async def close(self, *, timeout: float | None = None) -> None:  # asyncpg's
        await super().close(timeout=min(timeout or _CLOSE_SECONDS, _CLOSE_SECONDS))


def sqlstate(fault: BaseException) -> str:
    """What PostgreSQL calls the fault, or nothing."""
    states = (getattr(one, "sqlstate", None) for one in _chain(fault))
    return next((str(one) for one in states if one), "")


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """The fault, and what SQLAlchemy raised it for."""
    error: BaseException | None = fault
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__


def _is_gone(fault: BaseException, state: str) -> bool:
    """Whether the server is not there, or not the one that takes changes."""
    if state:
        return state in _GONE or state.startswith(_CONNECTION_CLASS)
    invalidated = isinstance(fault, DBAPIError) and fault.connection_invalidated
    return invalidated or any(isinstance(one, _BROKEN) for one in _chain(fault))


def _replace_what_is_gone(context: ExceptionContext) -> None:
    fault = context.original_exception
    if _is_gone(fault, sqlstate(fault)):
        context.is_disconnect = True  # and so is every other connection of its age


def _keep_alive(connection: Any, _record: object) -> None:
    """Have the kernel find out who does not answer; asyncpg has no other way to its socket."""
    plug = connection.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001
    if plug is None or plug.family == socket.AF_UNIX:
        return
    for name, level, value in _KEEP_ALIVE:
        option = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            plug.setsockopt(level, option, value)


async def _ping(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(_PING_SECONDS):
        await connection.execute("SELECT 1")


def _unique_names() -> Callable[[], str]:
    prefix, numbers = secrets.token_hex(8), itertools.count(1)
    return lambda: f"minigate_{prefix}_{next(numbers)}"
