"""Whether the user database takes changes now, and has the tables that the code expects."""

from __future__ import annotations

import asyncio
import logging
import time
from contextvars import Context
from typing import TYPE_CHECKING, Final, Literal

from service.core.fault_cause import name_fault
from service.core.models import ComponentStatus, SchemaVersions
from service.sql.faults import name_sql_fault
from service.sql.schema import users
from service.sql.schema_version import NEWEST, difference, find_version, read_version

if TYPE_CHECKING:
    from service.core.outage import Outage
    from service.sql.database import SqlDatabase

log = logging.getLogger(__name__)

_NAME: Final = "database"
_TIMEOUT_SECONDS: Final = 0.8
_FRESH_SECONDS: Final = 0.5


class DatabaseStatus:
    """The DatabaseCheck port. However often it is asked, the database is twice a second."""

    def __init__(self, database: SqlDatabase, outage: Outage) -> None:
        """`outage` is told when the database does not take changes, and when it does."""
        self._database = database
        self._outage = outage
        self._looking: asyncio.Task[ComponentStatus] | None = None
        self._looked_at = 0.0
        self._told = ""
        self._difference = ""
        self._version: str | None = None

    @property
    def schema(self) -> SchemaVersions:
        return SchemaVersions(self._version, NEWEST)

    async def status(self) -> ComponentStatus:
        looking = self._looking
        stale = time.monotonic() - self._looked_at > _FRESH_SECONDS
        if looking is None or (looking.done() and stale):
            # For all who ask meanwhile: its lines are of no request.
            looking = self._looking = asyncio.create_task(self._look(), context=Context())
        return await asyncio.shield(looking)

    async def aclose(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> ComponentStatus:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                self._version = await self._look_up_version()
                found = self._difference = difference(self._version)
        except TimeoutError:
            if self._database.changed_at < began:
                return self._now("down", f"no answer in {_TIMEOUT_SECONDS} s")
            found = self._difference  # there is a rush, and changes are made
        except Exception as fault:  # noqa: BLE001 # a dying connection can raise anything
            return self._now("down", name_fault(fault), why=name_sql_fault(fault))
        # Of another version, or not there yet: whoever has a session is served all the same.
        return self._now("degraded" if found else "ready", found)

    async def _look_up_version(self) -> str | None:
        try:
            return await self._database.probe(read_version, table=users)
        except self._database.faults:
            if await self._database.read(find_version) is None:
                return None
            raise

    def _now(
        self, state: Literal["ready", "degraded", "down"], reason: str, *, why: str = ""
    ) -> ComponentStatus:
        """`why`: the reason as the log has it, where that is more than anybody may see."""
        self._looked_at = time.monotonic()
        if state == "down":
            self._outage.failed("look", why or reason)
        else:
            self._outage.works()
            self._tell(reason)
        return ComponentStatus(_NAME, state, reason)

    def _tell(self, difference: str) -> None:
        """Say how the schema differs, once."""
        if difference != self._told:
            self._told = difference
            level = logging.WARNING if difference else logging.INFO
            log.log(level, "sql: %s", difference or "the schema is the one that this code expects")
