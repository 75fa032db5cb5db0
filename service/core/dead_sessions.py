"""Counts who brings session ids of no session: a guesser does so thousands of times."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from service.core.errors import RateLimited, SessionStoreUnavailable

if TYPE_CHECKING:
    from service.core.ports import LimitName, Limits

_LIMIT: Final[LimitName] = "dead_sessions_per_address"
_MOST_ADDRESSES: Final = 10_000


@dataclass(slots=True)
class _Tally:
    """What one address did here."""

    uncounted: int = 0
    refused_until: float = 0.0
    """By the event loop's clock."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class DeadSessions:
    """Limits dead session ids per address, at no cost for those who bring a few.

    When a Redis is lost, or many sessions end together, everybody brings a dead
    id once or twice, and must hear so quickly in order to log in. So each worker
    counts by itself and tells the limit in batches.
    """

    def __init__(self, limits: Limits, *, batch: int) -> None:
        """`batch`: so many of an address pass before the limit hears of them."""
        self._limits = limits
        self._batch = batch
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    async def count(self, address: str | None) -> None:
        """Count a dead id, or raise RateLimited where there were too many of this address.

        None is an address that is not known, and has no limit.
        """
        if address is None:
            return
        tally = self._tally_of(address)
        async with tally.lock:  # while a batch is told, the rest of a burst waits for the outcome
            left = tally.refused_until - asyncio.get_running_loop().time()
            if left > 0:
                raise RateLimited(_LIMIT, retry_after=math.ceil(left))
            tally.uncounted += 1
            if tally.uncounted >= self._batch:
                await self._tell(address, tally)

    def _tally_of(self, address: str) -> _Tally:
        tally = self._tallies.setdefault(address, _Tally())
        self._tallies.move_to_end(address)
        if len(self._tallies) > _MOST_ADDRESSES:
            self._tallies.popitem(last=False)
        return tally

    async def _tell(self, address: str, tally: _Tally) -> None:
        # The id is dead, whether or not that can be counted: its holder has to hear it.
        with suppress(SessionStoreUnavailable):
            await self._limits.add(_LIMIT, address, cost=tally.uncounted)
            tally.uncounted = 0
            try:
                await self._limits.check(_LIMIT, address)
            except RateLimited as error:
                now = asyncio.get_running_loop().time()
                tally.refused_until = now + (error.retry_after or 0)
