"""Which version the tables have, and which one this code was written for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, MetaData, String, Table, inspect, select

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEWEST: Final = "0004"
"""The last of the migrations. Alembic would tell, but weighs 9 MB in every worker."""

_ADVICE: Final = "run python -m service migrate"
# Alembic's own.
_versions: Final = Table("alembic_version", MetaData(), Column("version_num", String(32)))


def read_version(db: Connection) -> str | None:
    """The version of the tables."""
    version: str | None = db.scalar(select(_versions.c.version_num))
    return version


def find_version(db: Connection) -> str | None:
    """The same where it is not known whether there are any tables; None where there are none."""
    return read_version(db) if inspect(db).has_table(_versions.name) else None


def is_outdated(version: str | None) -> bool:
    """Whether migrations are missing."""
    return version is None or version < NEWEST


def difference(version: str | None) -> str:
    """How tables of that version differ from what the code expects; nothing if they do not."""
    if version is None:
        return f"no tables: {_ADVICE}"
    if version < NEWEST:
        return f"the schema is older than the code, {version} and not {NEWEST}: {_ADVICE}"
    if version > NEWEST:
        return f"the schema is newer than the code, {version} and not {NEWEST}"
    return ""
