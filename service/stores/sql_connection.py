"""The way to the user database: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Insert, Table
    from sqlalchemy.engine import URL

T = TypeVar("T")

PATIENCE_SECONDS: Final = 1.8
"""How long a request waits for a read or a change."""


class SqlDatabase(Protocol):
    """Runs what its callers say in SQLAlchemy's plain, blocking words, and blocks nobody.

    What a driver raises comes through as SQLAlchemy's errors.
    """

    def upsert(self, table: Table) -> Insert:
        """The dialect's INSERT, which knows ON CONFLICT."""
        ...

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Answer with what `question` finds: one statement, on a connection it does not keep.

        Takes PATIENCE_SECONDS at most.
        """
        ...

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Make the `change` in a transaction of its own: all of it is done, or nothing."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def connect_sql(address: str, *, pool_size: int) -> SqlDatabase:
    """The database of DATABASE_URL; it connects when first used. The caller closes it.

    `pool_size`: connections to PostgreSQL at most.
    """
    url, arguments = driver_url(address)
    if url.get_backend_name() == "sqlite":
        from service.stores.sqlite_database import SqliteDatabase  # noqa: PLC0415 # only one

        return SqliteDatabase(url)
    from service.stores.postgres_database import PostgresDatabase  # noqa: PLC0415 # is needed

    return PostgresDatabase(url, arguments, pool_size=pool_size)


def driver_url(address: str) -> tuple[URL, dict[str, Any]]:
    """Name our driver in any common spelling of a database URL.

    Hosted databases hand out `postgres://` and libpq's `sslmode`, which
    SQLAlchemy and asyncpg spell otherwise. Raises ValueError for other databases.
    """
    try:
        url = make_url(address)
    except Exception:
        raise ValueError("not a database URL") from None
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        return url.set(drivername="sqlite"), {}
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
