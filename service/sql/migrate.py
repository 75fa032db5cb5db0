"""Brings the user database to the present schema."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic import command
from alembic.config import Config

from service.sql.schema_version import NEWEST, difference, find_version, is_outdated

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.sql.database import SqlDatabase

log = logging.getLogger(__name__)

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_PROGRESS_SECONDS: Final = 10


async def upgrade(database: SqlDatabase) -> None:
    """Run the migrations that are missing; in one transaction, so all or none."""
    began = time.monotonic()

    async def tell() -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            log.info("still at work after %d s", time.monotonic() - began)

    progress = asyncio.create_task(tell())
    try:
        await database.maintain(_upgrade)
    finally:
        progress.cancel()


async def check(database: SqlDatabase) -> tuple[bool, str]:
    """Whether migrations are missing, and how the schema differs from what the code expects."""
    version = await database.read(find_version)
    return is_outdated(version), difference(version)


async def script(database: SqlDatabase) -> str:
    """The statements of the migrations that are missing; nothing is changed."""
    version = await database.read(find_version)
    if not is_outdated(version):
        return ""
    printed = io.StringIO()
    config = _config(dialect=database.dialect, output=printed)
    command.upgrade(config, f"{version}:head" if version else "head", sql=True)
    return printed.getvalue()


def _upgrade(connection: Connection) -> None:
    version = find_version(connection)
    if version is not None and version > NEWEST:
        log.warning("nothing to do: %s", difference(version))
        return
    if version != NEWEST:
        log.info("migrating the schema from %s to %s", version or "nothing", NEWEST)
    command.upgrade(_config(connection=connection, on_step=_Steps()), "head")


class _Steps:
    """Logs each migration when it is done."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, *, step: Any, **_: object) -> None:
        now = time.monotonic()
        log.info("migration %s is done, in %.1f s", step.up_revision_id, now - self._began)
        self._began = now


def _config(*, output: io.StringIO | None = None, **attributes: object) -> Config:
    config = Config(output_buffer=output) if output else Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes.update(attributes)
    return config
