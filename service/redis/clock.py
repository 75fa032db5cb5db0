"""What time it is at Redis, without asking."""

from __future__ import annotations

import math
import time


class ServerClock:
    """The clock of Redis, known from the times that its replies carry.

    Each reply says that the server's clock stood at `now` somewhere between
    sending and receiving; the true offset to our monotonic clock lies where all
    these intervals overlap. The lower end is used, so that a time told here is
    never ahead of the server's: a deadline made from it can only come early.
    When intervals contradict each other (the server's clock was set, or another
    server took over), the newest one counts.
    """

    def __init__(self) -> None:
        self._low = -math.inf
        self._high = math.inf

    @property
    def known(self) -> bool:
        """Whether any reply has been seen."""
        return self._low > -math.inf

    def observe(self, server_ms: int, *, sent: float, received: float) -> None:
        """Learn from a reply: `sent` and `received` are `time.monotonic()` seconds."""
        # The server's milliseconds are rounded down.
        low, high = server_ms - received * 1000, server_ms + 1 - sent * 1000
        self._low, self._high = max(low, self._low), min(high, self._high)
        if self._low > self._high:
            self._low, self._high = low, high

    def now_ms(self, at: float | None = None) -> int:
        """Milliseconds since the epoch by the server, at `at` monotonic seconds (now)."""
        return int((time.monotonic() if at is None else at) * 1000 + self._low)
