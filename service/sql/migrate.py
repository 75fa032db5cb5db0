"""Brings the user database to the present schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.sql.database import SqlDatabase

_SCRIPTS: Final = Path(__file__).parent / "migrations"


async def upgrade(database: SqlDatabase) -> None:
    """Run the migrations that are missing; in one transaction, so all or none."""
    await database.write(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
