"""Places at the database: as many as it has connections for us, taken in turn."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from service.sql.faults import NotInTime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Places:
    """Who finds none free waits, for as long as others are answered.

    A rush is no outage: how long the line is says nothing of the database. But where
    nobody has been answered for a while, all who wait are told so at once.
    """

    def __init__(self, count: int, *, patience: float, longest: float) -> None:
        """`patience`: seconds without an answer to anybody, after which nobody waits on.

        `longest`: seconds that anybody waits.
        """
        self._count = count
        self._patience = patience
        self._longest = longest
        self._free = asyncio.Semaphore(count)
        self.free = count
        """How many nobody has."""
        self._answered_at = -math.inf

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place for as long as the body takes. Raises NotInTime where there is none."""
        await self._take()
        self.free -= 1
        try:
            yield
            self._answered_at = time.monotonic()
        finally:
            self.free += 1
            self._free.release()

    async def _take(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        began = time.monotonic()
        taking = asyncio.ensure_future(self._free.acquire())
        try:
            while not taking.done():
                until = min(max(began, self._answered_at) + self._patience, began + self._longest)
                left = until - time.monotonic()
                if left <= 0:
                    raise NotInTime(f"the pool is exhausted: all {self._count} are busy")
                # Without giving up the turn, as a time-out of its own would.
                await asyncio.wait({taking}, timeout=left)
        except BaseException:
            if not taking.cancel():  # it was our turn just then
                self._free.release()
            raise
