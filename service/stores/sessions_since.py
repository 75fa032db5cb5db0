"""Since when logins count, by mini-program and device class: earlier sessions have ended."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

from service.core.errors import SessionStoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.config.settings import Settings

Marks: TypeAlias = "Mapping[tuple[str, str], int]"
"""By appid and device class, "" for all of them: Unix milliseconds by the clock of Redis."""

_WAIT_SECONDS: Final = 0.5
UNKNOWN: Final = sys.maxsize
"""In place of a time: not before all of them are known may a session be let through."""


class SessionsSince:
    """What a worker goes by; the later one of SESSIONS_SINCE and the marks counts."""

    def __init__(self, settings: Settings) -> None:
        self._floor = settings.sessions_since * 1000
        self.of = {
            (app, dev): self._floor for app in settings.apps for dev in settings.device_classes
        }
        """By appid and device class, of those that are served: Unix milliseconds, or UNKNOWN.

        It stays the same object, so that a check has it at hand.
        """
        self._known = asyncio.Event()
        self._known.set()

    @property
    def is_known(self) -> bool:
        """Whether it is what holds at this moment."""
        return self._known.is_set()

    async def wait_known(self) -> None:
        """Wait a moment for it to be known; raises SessionStoreUnavailable when it is not then."""
        if self._known.is_set():
            return
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._known.wait()
        except TimeoutError:
            raise SessionStoreUnavailable from None

    def apply(self, marks: Marks) -> None:
        """Go by these."""
        for app, device in self.of:
            reaching = (("", ""), (app, ""), ("", device), (app, device))
            self.of[app, device] = max(self._floor, *(marks.get(one, 0) for one in reaching))
        self._known.set()

    def forget(self) -> None:
        """Let no session through until the next `apply`."""
        self._known.clear()
        for served in self.of:
            self.of[served] = UNKNOWN
