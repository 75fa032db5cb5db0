"""What the user database is: its kind, its version, the state of its tables."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from service.sql.faults import name_sql_fault
from service.sql.schema_version import difference, find_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.sql.database import SqlDatabase

_NAMES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
_TIMEOUT_SECONDS: Final = 2.0


async def describe(database: SqlDatabase) -> str:
    """In a few words; says so where it does not answer. Raises nothing."""
    name = _NAMES.get(database.dialect, database.dialect)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return f"{name} {await database.read(_version_and_schema)}"
    except Exception as fault:  # noqa: BLE001 # a dying connection can raise anything
        return f"{name}, does not answer: {name_sql_fault(fault)}"


def _version_and_schema(db: Connection) -> str:
    version = ".".join(str(number) for number in db.dialect.server_version_info or ())
    schema = find_version(db)
    return f"{version}, {difference(schema) or f'schema {schema}'}"
