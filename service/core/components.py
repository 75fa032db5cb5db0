"""How everything is that the service leans on, and since when."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from service.core.errors import SessionStoreUnavailable
from service.core.models import ComponentStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.ports import ComponentCheck, SessionStore

_TIMEOUT_SECONDS: Final = 0.5


class Component(NamedTuple):
    """What the service leans on, as it was looked at just now."""

    status: ComponentStatus
    since: int
    """Unix milliseconds at which this worker first found it in this state."""
    checked_at: int
    """Unix milliseconds."""


class Components:
    """All of them. It remembers, for one worker, since when each is as it is."""

    def __init__(self, checks: Sequence[ComponentCheck]) -> None:
        self._checks = checks
        self._since: dict[tuple[str, str], int] = {}

    async def look(self) -> list[Component]:
        """Look at each, all at once; takes a second at most and raises nothing."""
        found = await asyncio.gather(*(check.status() for check in self._checks))
        now = time.time_ns() // 1_000_000
        self._since = {
            (one.component, one.state): self._since.get((one.component, one.state), now)
            for one in found
        }
        return [Component(one, self._since[one.component, one.state], now) for one in found]


class SessionStoreCheck:
    """The ComponentCheck of the session store."""

    def __init__(self, sessions: SessionStore) -> None:
        self._sessions = sessions

    async def status(self) -> ComponentStatus:
        """Down where no part of it can serve, degraded where something ails it."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                ailing = await self._sessions.ping()
        except TimeoutError:
            return ComponentStatus("redis", "down", "unreachable")
        except SessionStoreUnavailable as fault:
            return ComponentStatus("redis", "down", (fault.data or {}).get("reason", "unreachable"))
        if ailing is None:
            return ComponentStatus("redis", "ready", "")
        return ComponentStatus("redis", "degraded", ailing)
