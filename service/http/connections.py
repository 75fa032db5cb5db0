"""The connections of a worker: not more than it has room for, and none that waits for ever."""

from __future__ import annotations

import asyncio
import heapq
import logging
import os
import time
from typing import TYPE_CHECKING, Final, Protocol

from service.core.throttled_log import ThrottledLog
from service.metrics import series

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

_INTERVAL_SECONDS: Final = 0.5
_DRAIN_INTERVAL_SECONDS: Final = 0.03
_LONGEST_DRAIN: Final = 8.0
"""Seconds; what a login has begun is brought to its end after that."""
_AT_ONCE: Final = 64
"""Where there is no room a 64th of all goes: to look for them takes time in a crowd."""
_MOST_UNSENT: Final = 32 * 1024 * 1024
"""Bytes of answers that clients have not taken, of all of them together."""
_LESS: Final = _MOST_UNSENT * 7 // 8
"""How many are left when there were more: as above."""


class Connection(Protocol):
    """What there is to know of one."""

    @property
    def unsent(self) -> int:
        """Bytes that are kept for its client."""

    def waiting_since(self) -> float | None:
        """When its client's turn began, in monotonic seconds, if that it is."""

    def look(self, now: float) -> bool:
        """See whether its time is over; returns whether its client took no answer in time."""

    def leave(self, now: float, told: float) -> None:
        """Let it end with the answer that it is at; the worker was `told` to end then."""

    def cut(self) -> None:
        """End it here and now."""


class Connections:
    """Those that are open, looked at twice a second, by one timer for all of them."""

    def __init__(self, most: int) -> None:
        """`most`: how many there may be."""
        self.most = most
        self.open: set[Connection] = set()
        self.leaving = False
        """Whether each answer is to be the last one of its connection."""
        self._full = ThrottledLog("connections")
        self._refused = ThrottledLog("connections")
        self._late = ThrottledLog("connections")
        self._heavy = ThrottledLog("connections")
        self._unsent = 0  # at most, since they were last weighed
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look at them from now on, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_INTERVAL_SECONDS, self._sweep)

    def stop(self) -> None:
        """Look at them no more."""
        if self._timer is not None:
            self._timer.cancel()

    async def drain(self) -> None:
        """Have each end with the answer that it is at, and cut what takes too long."""
        self.leaving = True
        told = now = time.monotonic()
        while self.open and now < told + _LONGEST_DRAIN:
            for connection in tuple(self.open):
                connection.leave(now, told)
            await asyncio.sleep(_DRAIN_INTERVAL_SECONDS)
            now = time.monotonic()
        if self.open:
            log.warning("cut %d connections that were not done in time", len(self.open))
        for connection in tuple(self.open):
            connection.cut()

    def add(self, connection: Connection) -> None:
        """Count it; if there are too many, cut those whose clients have kept it waiting longest.

        With a request half sent, before the next one, or with an answer that they do
        not take. A connection whose answer is being made is never cut: if all are
        such, the new one goes.
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

    def make_room(self, size: int) -> None:
        """For so many bytes of an answer, by cutting those that have waited longest for theirs."""
        self._unsent += size
        if self._unsent > _MOST_UNSENT:
            self._weigh()

    def _weigh(self) -> None:
        kept = {one: size for one in self.open if (size := one.unsent)}
        self._unsent = sum(kept.values())
        if self._unsent <= _MOST_UNSENT:
            return
        cut = 0
        for one in _longest(len(kept), kept):
            if self._unsent <= _LESS:
                break
            self._unsent -= kept[one]
            one.cut()
            cut += 1
        if not cut:
            return
        what = f"more than {_MOST_UNSENT // 2**20} MB of answers that are not taken"
        self._heavy.warn(what, f"cut {cut} that waited longest")

    def _sweep(self) -> None:
        self.start()
        now = time.monotonic()
        late = sum(connection.look(now) for connection in tuple(self.open))
        if late:
            self._late.warn("answers that were not taken in time", f"cut {late}")
        self._weigh()
        series.connections.set(len(self.open))
        self._look_at_descriptors()

    def _look_at_descriptors(self) -> None:
        # Without them nobody is let in: uvloop accepts and closes, and does not say so.
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as fault:
            cut = self._cut(_AT_ONCE)
            self._refused.failed("accept", f"{fault.strerror}; cut {cut} that waited longest")

    def _cut(self, count: int, *, sparing: Connection | None = None) -> int:
        longest = _longest(count, (one for one in self.open if one is not sparing))
        for one in longest:
            one.cut()
        return len(longest)


def _longest(count: int, among: Iterable[Connection]) -> list[Connection]:
    """Those whose turn it is, and has been for longest."""
    waiting = ((since, id(one), one) for one in among if (since := one.waiting_since()) is not None)
    return [one for _, _, one in heapq.nsmallest(count, waiting)]
