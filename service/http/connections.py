"""The connections of a worker: not more than it has room for, and none that waits for ever."""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from typing import Final, Protocol

from service.core.throttled_log import ThrottledLog

_INTERVAL_SECONDS: Final = 0.5
_AT_ONCE: Final = 64
"""Where there is no room a 64th of all goes: to look for them takes time in a crowd."""


class Connection(Protocol):
    """What there is to know of one."""

    def waiting_since(self) -> float | None:
        """When its client's turn began, in monotonic seconds, if that it is."""

    def look(self, now: float) -> None:
        """See whether its time is over."""

    def cut(self) -> None:
        """End it here and now."""


class Connections:
    """Those that are open, looked at twice a second, by one timer for all of them."""

    def __init__(self, most: int) -> None:
        """`most`: how many there may be."""
        self.most = most
        self.open: set[Connection] = set()
        self._full = ThrottledLog("connections")
        self._refused = ThrottledLog("connections")
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look at them from now on, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_INTERVAL_SECONDS, self._sweep)

    def stop(self) -> None:
        """Look at them no more."""
        if self._timer is not None:
            self._timer.cancel()

    def add(self, connection: Connection) -> None:
        """Count it; if there are too many, cut those whose clients have kept it waiting longest.

        With a request half sent, or before the next one. A connection that is being
        answered is never cut: if all are, the new one goes.
        """
        self.open.add(connection)
        excess = len(self.open) - self.most
        if excess > 0:
            cut = self._cut(excess + self.most // _AT_ONCE, sparing=connection)
            if not cut:
                connection.cut()
            why = f"there is no room; cut {cut} that waited longest"
            self._full.failed(f"keeping more than {self.most}", why)

    def discard(self, connection: Connection) -> None:
        """It is closed."""
        self.open.discard(connection)

    def _sweep(self) -> None:
        self.start()
        now = time.monotonic()
        for connection in tuple(self.open):
            connection.look(now)
        self._look_at_descriptors()

    def _look_at_descriptors(self) -> None:
        # Without them nobody is let in: uvloop accepts and closes, and does not say so.
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as fault:
            cut = self._cut(_AT_ONCE)
            self._refused.failed("accept", f"{fault.strerror}; cut {cut} that waited longest")

    def _cut(self, count: int, *, sparing: Connection | None = None) -> int:
        waiting = (
            (since, id(one), one)
            for one in self.open
            if one is not sparing and (since := one.waiting_since()) is not None
        )
        longest = heapq.nsmallest(count, waiting)
        for _, _, one in longest:
            one.cut()
        return len(longest)
