"""The way to the user database: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.config.database_url import driver_url

if TYPE_CHECKING:
    from service.sql.database import SqlDatabase


def connect_sql(address: str, *, pool_size: int) -> SqlDatabase:
    """The database of DATABASE_URL; it connects when first used. The caller closes it.

    `pool_size`: connections to PostgreSQL at most.
    """
    url, arguments = driver_url(address)
    if url.get_backend_name() == "sqlite":
        from service.sql.sqlite import SqliteDatabase  # noqa: PLC0415 # only the one in use

        return SqliteDatabase(url)
    from service.sql.postgres import PostgresDatabase  # noqa: PLC0415 # as above

    return PostgresDatabase(url, arguments, pool_size=pool_size)
