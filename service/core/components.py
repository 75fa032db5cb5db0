"""How everything is that the service leans on, and since when.

Redis and the database are looked at. WeChat and the avatar store are not: to ask them costs
quota or money, and nobody need be turned away while they are away. Of these is told what the
outages say that whoever needed them has noticed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from service.core.errors import SessionStoreUnavailable
from service.core.models import ComponentStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.overview import OutageReport, OutageReports
    from service.core.ports import ComponentCheck, SessionStore

_TIMEOUT_SECONDS: Final = 0.5
_NOT_ASKED: Final = ("wechat", "avatars")
"""What outages call them."""


class Component(NamedTuple):
    """What the service leans on, as far as this worker knows."""

    status: ComponentStatus
    since: int | None
    """Unix milliseconds at which this worker first found it in this state; None if it did not."""
    checked_at: int | None
    """Unix milliseconds of the look just now; None for what is not looked at."""


class Components:
    """All of them. It remembers, for one worker, since when each is as it is."""

    def __init__(
        self, checks: Sequence[ComponentCheck], outages: OutageReports | None = None
    ) -> None:
        """`checks`: of what is looked at. `outages`: of the rest."""
        self._checks = checks
        self._outages = outages
        self._since: dict[tuple[str, str], int] = {}

    async def look(self) -> list[Component]:
        """Look at each, all at once; takes a second at most and raises nothing."""
        found = await asyncio.gather(*(check.status() for check in self._checks))
        now = time.time_ns() // 1_000_000
        self._since = {
            (one.component, one.state): self._since.get((one.component, one.state), now)
            for one in found
        }
        looked_at = [Component(one, self._since[one.component, one.state], now) for one in found]
        return looked_at + self._not_asked()

    def _not_asked(self) -> list[Component]:
        if self._outages is None:
            return []
        lasting = [one for one in self._outages.recent() if one.until is None]
        return [_as_noticed(name, lasting) for name in _NOT_ASKED]


def _as_noticed(name: str, lasting: Sequence[OutageReport]) -> Component:
    """Down since the first of its outages that last; else nothing is known against it."""
    own = [one for one in lasting if one.what == name]
    if not own:
        return Component(ComponentStatus(name, "ready", ""), None, None)
    first = min(own, key=lambda one: one.since)
    return Component(ComponentStatus(name, "down", first.why), first.since, None)


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
