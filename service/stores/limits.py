"""Limits in Redis, shared by all workers: the sliding window counter of the `limits` package.

Its notation is used, its storages and strategies are not
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
from typing import TYPE_CHECKING, Final, NamedTuple

from service.core.errors import RateLimited, ServiceError, SessionStoreUnavailable
from service.core.ids import digest
from service.redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.config.limits import Limit
    from service.core.ports import LimitName
    from service.redis.scripts import Scripts

_KIND: Final = "limit:"

_COUNT: Final = Script(Path(__file__).with_name("lua") / "count.lua", fenced=False)
_TOLERANCE: Final = 100
"""The part of a limit that workers may have counted without telling: one hundredth."""
_MOST_TALLIES: Final = 4096


class _Waits(NamedTuple):
    """Seconds until one more is allowed, and until a doubtful one is; 0 where it is now."""

    for_all: float
    for_doubtful: float


@dataclass(slots=True)
class _Tally:
    """What one worker has counted of one limit and one `who`."""

    untold: int = 0
    untold_doubtful: int = 0
    full_until: float = 0.0
    """Monotonic seconds, as are the next ones."""
    half_full_until: float = 0.0
    """The same for those that are doubtful."""
    at_once_until: float = 0.0
    """Until then each use is told at once: it may turn out to weigh as much as many."""
    failed_at: float = -math.inf
    """When Redis could not be told. Whoever has waited for that need not try and wait again."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wait(self, *, doubtful: bool) -> float:
        """Seconds until one more is allowed, as far as this worker knows."""
        until = max(self.full_until, self.half_full_until) if doubtful else self.full_until
        return until - time.monotonic()


class RedisLimits:
    """The Limits port. A limit that is not given allows everything.

    Each worker tells Redis of a use when it has counted a hundredth of the limit
    by its share, so that a login, or a storm of dead session ids, costs no round
    trip but now and then. What is smaller than that is told at once, and so is exact.
    """

    def __init__(
        self, scripts: Scripts, allowed: Mapping[LimitName, Limit], *, workers: int = 1
    ) -> None:
        """`workers`: how many there are that count together."""
        self._scripts = scripts
        self._prefix = scripts.prefix + _KIND
        self._allowed = allowed
        self._batches = {
            name: item.amount // (_TOLERANCE * workers) for name, item in allowed.items()
        }
        self._tallies: OrderedDict[tuple[LimitName, str], _Tally] = OrderedDict()

    async def count(
        self, limit: LimitName, who: str, *, cost: int = 1, doubtful: bool = False
    ) -> None:
        if limit not in self._allowed:
            return
        if cost >= self._batches[limit]:
            _allow(limit, max(await self._run(limit, who, cost, cost * doubtful)))
            return
        tally, arrived = self._tally(limit, who), time.monotonic()
        if tally.at_once_until > arrived:
            _allow(limit, tally.wait(doubtful=doubtful))
            _keep(tally, await self._run(limit, who, cost, cost * doubtful))
            _allow(limit, tally.wait(doubtful=doubtful))
            return
        more = cost, cost * doubtful
        if not tally.lock.locked() and not self._is_batch(limit, tally, *more):
            _note(limit, tally, *more, arrived=arrived)
            return
        async with tally.lock:  # while a batch is told, the rest of a burst waits for the outcome
            _note(limit, tally, *more, arrived=arrived)
            if self._is_batch(limit, tally):
                await self._tell(limit, who, tally, *more)

    async def count_all(self, uses: Mapping[LimitName, str], *, doubtful: bool = False) -> None:
        counted: dict[LimitName, str] = {}
        try:
            for limit, who in uses.items():
                await self.count(limit, who, doubtful=doubtful)
                counted[limit] = who
        except ServiceError:
            with suppress(SessionStoreUnavailable):
                for limit, who in counted.items():
                    await self.add(limit, who, cost=-1, doubtful=-int(doubtful))
            raise

    async def add(self, limit: LimitName, who: str, *, cost: int = 0, doubtful: int = 0) -> None:
        if limit not in self._allowed:
            return
        batch = self._batches[limit]
        if not batch:
            await self._run(limit, who, cost, doubtful, "always")
            return
        tally, now = self._tally(limit, who), time.monotonic()
        if cost >= batch:
            tally.at_once_until = now + self._allowed[limit].seconds
        tally.untold += cost
        tally.untold_doubtful += doubtful
        # How much room there is where one that is full gets some back, only Redis can say.
        is_full = tally.wait(doubtful=doubtful < 0) > 0
        if is_full or abs(cost) >= batch or self._is_batch(limit, tally):
            async with tally.lock:
                await self._tell(limit, who, tally, cost, doubtful)

    def _tally(self, limit: LimitName, who: str) -> _Tally:
        tally = self._tallies.get((limit, who))
        if tally is None:
            tally = self._tallies[limit, who] = _Tally()
            if len(self._tallies) > _MOST_TALLIES:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end((limit, who))
        return tally

    def _is_batch(self, limit: LimitName, tally: _Tally, more: int = 0, doubtful: int = 0) -> bool:
        """Whether so much is untold, with so many more, that Redis has to hear of it."""
        batch = self._batches[limit]
        untold_doubtful = tally.untold_doubtful + doubtful
        return tally.untold + more >= batch or untold_doubtful >= max(batch // 2, 1)

    async def _tell(
        self, limit: LimitName, who: str, tally: _Tally, cost: int, doubtful: int
    ) -> None:
        """Tell all that is untold, `cost` and `doubtful` included; if this fails, these are not."""
        told, told_doubtful = tally.untold, tally.untold_doubtful
        try:
            # If the caller hangs up meanwhile it is told again: rather twice than never.
            waits = await self._run(limit, who, told, told_doubtful, "always")
        except SessionStoreUnavailable:
            tally.untold, tally.failed_at = tally.untold - cost, time.monotonic()
            tally.untold_doubtful -= doubtful
            raise
        # And not to 0: some may have been given back meanwhile.
        tally.untold -= told
        tally.untold_doubtful -= told_doubtful
        _keep(tally, waits)

    async def _run(
        self, limit: LimitName, who: str, cost: int, doubtful: int, mode: str = ""
    ) -> _Waits:
        """A script whose reply was lost may count twice."""
        item = self._allowed[limit]
        key = f"{self._prefix}{limit}:{digest(who)}"
        window_ms = item.seconds * 1000
        reply = await self._scripts.run_idempotent(
            _COUNT, key, cost, item.amount, window_ms, mode, doubtful
        )
        match reply:
            case [int(for_all), int(for_doubtful)]:
                return _Waits(for_all / 1000, for_doubtful / 1000)
        raise SessionStoreUnavailable  # the reply to something else


def _note(limit: LimitName, tally: _Tally, cost: int, doubtful: int, *, arrived: float) -> None:
    """Count what Redis is to be told later; raises as `count` does."""
    if tally.failed_at >= arrived:
        raise SessionStoreUnavailable
    _allow(limit, tally.wait(doubtful=doubtful > 0))
    tally.untold += cost
    tally.untold_doubtful += doubtful


def _keep(tally: _Tally, waits: _Waits) -> None:
    now = time.monotonic()
    tally.full_until, tally.half_full_until = now + waits.for_all, now + waits.for_doubtful


def _allow(limit: LimitName, wait: float) -> None:
    if wait > 0:
        raise RateLimited(limit, retry_after=math.ceil(wait))
