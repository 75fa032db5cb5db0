"""The connection to the user database: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

CONNECT_SECONDS: Final = 1.0
STATEMENT_SECONDS: Final = 1.5
_SQLITE_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",  # readers do not wait for the writer
    "PRAGMA synchronous=NORMAL",  # safe with WAL however the process ends
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # who is deleted is overwritten
    "PRAGMA busy_timeout=1500",
)
WRITE: Final = "minigate_write"
"""Execution option of connections that are going to write."""


def connect_sql(address: str, *, pool_size: int) -> AsyncEngine:
    """An engine for DATABASE_URL; it connects when first used. The caller disposes of it."""
    url, arguments = driver_url(address)
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=1)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
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


def driver_url(address: str) -> tuple[URL, dict[str, Any]]:
    """Name our asyncio driver in any common spelling of a database URL.

    Hosted databases hand out `postgres://` and libpq's `sslmode`, which
    SQLAlchemy and asyncpg spell otherwise. Raises ValueError for other databases.
    """
    try:
        url = make_url(address)
    except Exception:
        raise ValueError("not a database URL") from None
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        return url.set(drivername="sqlite+aiosqlite"), {}
    if backend in {"postgres", "postgresql"}:
        # Of libpq's parameters asyncpg takes these, in other places; the rest it refuses.
        kept = {name: value for name, value in url.query.items() if name in {"host", "port"}}
        arguments: dict[str, Any] = {"ssl": _tls(url.query)}
        if "application_name" in url.query:
            arguments["server_settings"] = {"application_name": url.query["application_name"]}
        return url.set(drivername="postgresql+asyncpg", query=kept), {
            name: value for name, value in arguments.items() if value is not None
        }
    raise ValueError("must begin with postgresql://, postgres:// or sqlite:///")


def _tls(query: Mapping[str, Any]) -> str | ssl.SSLContext | None:
    """What asyncpg takes for libpq's sslmode and sslrootcert."""
    mode = query.get("sslmode") or query.get("ssl")
    if "sslrootcert" not in query:
        return str(mode) if mode else None
    context = ssl.create_default_context(cafile=str(query["sslrootcert"]))
    context.check_hostname = mode == "verify-full"
    return context


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that read first and wrote later could find the file changed in
    # between and fail: one that is to write takes its turn at the start. A single
    # read needs no transaction.
    if connection.get_execution_options().get(WRITE):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
