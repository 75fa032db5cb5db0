"""Limits in memory, exact, without a window; it doubts nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from service.core.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.ports import LimitName


class MemoryLimits:
    """The Limits port; a limit that is not given allows everything."""

    def __init__(self, **allowed: int) -> None:
        self.allowed = allowed
        self.used: Counter[tuple[str, str]] = Counter()

    async def count(
        self,
        limit: LimitName,
        who: str,
        *,
        cost: int = 1,
        doubtful: bool = False,  # noqa: ARG002 # the port's
    ) -> None:
        await asyncio.sleep(0)  # as a store would, so that callers overtake each other
        if self.used[limit, who] + max(cost, 1) > self.allowed.get(limit, 10**9):
            raise RateLimited(limit, retry_after=3600)
        self.used[limit, who] += cost

    async def count_all(
        self,
        uses: Mapping[LimitName, str],
        *,
        doubtful: bool = False,  # noqa: ARG002 # the port's
    ) -> None:
        counted: list[tuple[LimitName, str]] = []
        try:
            for limit, who in uses.items():
                await self.count(limit, who)
                counted.append((limit, who))
        except RateLimited:
            for limit, who in counted:
                await self.add(limit, who, cost=-1)
            raise

    async def check(self, limit: LimitName, who: str) -> None:
        await self.count(limit, who, cost=0)

    async def add(
        self,
        limit: LimitName,
        who: str,
        *,
        cost: int = 0,
        doubtful: int = 0,  # noqa: ARG002 # the port's
    ) -> None:
        await asyncio.sleep(0)
        self.used[limit, who] += cost
