"""Has /metrics tell how many sessions live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from service.core.errors import SessionStoreUnavailable
from service.metrics.series import live_sessions
from service.redis.errors import code_word

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.core.events import EventHistory

_EVERY_SECONDS: Final = 30.0
_FORBIDDEN_SECONDS: Final = 3600.0
"""Where the user of Redis may not count them: each try is a line, here and in its ACL LOG."""


class LiveGauge:
    """Looks now and then, however often it is told to."""

    def __init__(self, history: EventHistory, appids: Collection[str]) -> None:
        self._history = history
        self._appids = appids
        self._looked_at = float("-inf")

    async def look(self) -> None:
        """Count those of each mini-program, if it was not done lately; raises nothing.

        While Redis is away the last number stands.
        """
        now = time.monotonic()
        if now - self._looked_at < _EVERY_SECONDS:
            return
        self._looked_at = now
        try:
            for appid in self._appids:
                live_sessions.labels(appid).set(await self._history.live_sessions(appid))
        except SessionStoreUnavailable as fault:  # which the outage tells
            if code_word(fault.__cause__) == "NOPERM":
                self._looked_at = now + _FORBIDDEN_SECONDS
