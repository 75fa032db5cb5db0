"""PostgreSQL by asyncpg."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asyncpg import InterfaceError, PostgresError
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from service.sql.database import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy import Connection, Insert, Table
    from sqlalchemy.engine import URL

T = TypeVar("T")

CONNECT_SECONDS: Final = 1.0
STATEMENT_SECONDS: Final = 1.5


class PostgresDatabase:
    """The SqlDatabase port. No statement takes longer than STATEMENT_SECONDS."""

    # What asyncpg raises while it connects is not translated by SQLAlchemy.
    faults: Final = (SQLAlchemyError, PostgresError, InterfaceError, OSError)
    write_seconds: Final = TIMEOUT_SECONDS

    def __init__(self, url: URL, arguments: Mapping[str, Any], *, pool_size: int) -> None:
        """`arguments`: what asyncpg is told besides, such as `ssl`."""
        self._engine = create_async_engine(
            url,
            connect_args={
                "timeout": CONNECT_SECONDS,
                "command_timeout": STATEMENT_SECONDS,
                **arguments,
            },
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=1,
        )
        # A lone statement needs no BEGIN and COMMIT around it: two round trips less.
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def upsert(self, table: Table) -> Insert:
        return postgresql.insert(table)

    async def read(self, question: Callable[[Connection], T]) -> T:
        async def ask() -> T:
            async with self._reader.connect() as db:
                return await db.run_sync(question)

        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _with_reconnect(ask)

    async def write(self, change: Callable[[Connection], T]) -> T:
        async def transact() -> T:
            async with self._engine.begin() as db:
                return await db.run_sync(change)

        return await _with_reconnect(transact)

    async def aclose(self) -> None:
        await self._engine.dispose()


async def _with_reconnect(act: Callable[[], Awaitable[T]]) -> T:
    """What `act` returns; it is called again, on a new connection, if its own was dead.

    Acting twice is safe: every change is an upsert or sets what it is given.
    """
    try:
        return await act()
    except DBAPIError as fault:
        if not fault.connection_invalidated:
            raise
        return await act()
