"""Limits in Redis, shared by all workers: the sliding window counter of the `limits` package.

Its notation and its items are used, its storages and strategies are not
(docs/adr/0023-limits.md): they bring connections of their own, and take a
second round trip to say how long to wait.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core.errors import RateLimited, ServiceError, SessionStoreUnavailable
from service.core.ids import digest
from service.redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from limits import RateLimitItem

    from service.core.ports import LimitName
    from service.redis.scripts import Scripts

KEY_PREFIX: Final = "minigate:limit:"

_COUNT: Final = Script(Path(__file__).with_name("lua") / "count.lua", fenced=False)
_TOLERANCE: Final = 100
"""The part of a limit that workers may have counted without telling: one hundredth."""
_MOST_TALLIES: Final = 4096


@dataclass(slots=True)
class _Tally:
    """What one worker has counted of one limit and one `who`."""

    untold: int = 0
    full_until: float = 0.0
    """Monotonic seconds, as is the next."""
    failed_at: float = -math.inf
    """When Redis could not be told. Whoever has waited for that need not try and wait again."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RedisLimits:
    """The Limits port. A limit that is not given allows everything.

    Each worker tells Redis of a use when it has counted a hundredth of the limit
    by its share, so that a login, or a storm of dead session ids, costs no round
    trip but now and then. What is smaller than that is told at once, and so is exact.
    """

    def __init__(
        self, scripts: Scripts, allowed: Mapping[LimitName, RateLimitItem], *, workers: int = 1
    ) -> None:
        """`workers`: how many there are that count together."""
        self._scripts = scripts
        self._allowed = allowed
        self._batches = {
            name: item.amount // (_TOLERANCE * workers) for name, item in allowed.items()
        }
        self._tallies: OrderedDict[tuple[LimitName, str], _Tally] = OrderedDict()

    async def count(self, limit: LimitName, who: str, *, cost: int = 1) -> None:
        if limit not in self._allowed:
            return
        if cost >= self._batches[limit]:
            wait_ms = await self._run(limit, who, cost)
            if wait_ms:
                raise RateLimited(limit, retry_after=math.ceil(wait_ms / 1000))
            return
        tally, arrived = self._tally(limit, who), time.monotonic()
        async with tally.lock:  # while a batch is told, the rest of a burst waits for the outcome
            if tally.failed_at >= arrived:
                raise SessionStoreUnavailable
            left = tally.full_until - time.monotonic()
            if left > 0:
                raise RateLimited(limit, retry_after=math.ceil(left))
            tally.untold += cost
            if tally.untold >= self._batches[limit]:
                await self._tell(limit, who, tally, cost)

    async def count_all(self, uses: Mapping[LimitName, str]) -> None:
        counted: dict[LimitName, str] = {}
        try:
            for limit, who in uses.items():
                await self.count(limit, who)
                counted[limit] = who
        except ServiceError:
            with suppress(SessionStoreUnavailable):
                for limit, who in counted.items():
                    await self.add(limit, who, cost=-1)
            raise

    async def add(self, limit: LimitName, who: str, *, cost: int) -> None:
        if limit not in self._allowed:
            return
        if -self._batches[limit] < cost < 0:
            tally = self._tally(limit, who)
            tally.untold, tally.full_until = tally.untold + cost, 0.0
        else:
            await self._run(limit, who, cost, "always")

    def _tally(self, limit: LimitName, who: str) -> _Tally:
        tally = self._tallies.setdefault((limit, who), _Tally())
        self._tallies.move_to_end((limit, who))
        if len(self._tallies) > _MOST_TALLIES:
            self._tallies.popitem(last=False)
        return tally

    async def _tell(self, limit: LimitName, who: str, tally: _Tally, cost: int) -> None:
        """Tell all that is untold, `cost` included; that does not happen where this fails."""
        told = tally.untold
        try:
            # If the caller hangs up meanwhile it is told again: rather twice than never.
            wait_ms = await self._run(limit, who, told, "always")
        except SessionStoreUnavailable:
            tally.untold, tally.failed_at = tally.untold - cost, time.monotonic()
            raise
        tally.untold -= told  # and not 0: some may have been given back meanwhile
        tally.full_until = time.monotonic() + wait_ms / 1000

    async def _run(self, limit: LimitName, who: str, cost: int, mode: str = "") -> int:
        """Milliseconds to wait, 0 for none. A script whose reply was lost may count twice."""
        item = self._allowed[limit]
        key = f"{KEY_PREFIX}{limit}:{digest(who)}"
        window_ms = item.get_expiry() * 1000
        reply = await self._scripts.run_idempotent(_COUNT, key, cost, item.amount, window_ms, mode)
        if not isinstance(reply, int):
            raise SessionStoreUnavailable  # the reply to something else
        return reply
