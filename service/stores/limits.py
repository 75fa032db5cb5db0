"""Limits in Redis, shared by all workers: the sliding window counter of the `limits` package.

Its notation and its items are used, its storages and strategies are not
(docs/adr/0023-limits.md): they bring connections of their own, and take a
second round trip to say how long to wait.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core import base64url
from service.core.errors import RateLimited, SessionStoreUnavailable
from service.redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from limits import RateLimitItem

    from service.core.ports import LimitName
    from service.redis.scripts import Scripts

KEY_PREFIX: Final = "minigate:limit:"

_COUNT: Final = Script(Path(__file__).with_name("lua") / "count.lua", fenced=False)


class RedisLimits:
    """The Limits port. A limit that is not given allows everything.

    A script whose reply was lost is sent again, and may then count twice.
    """

    def __init__(self, scripts: Scripts, allowed: Mapping[LimitName, RateLimitItem]) -> None:
        self._scripts = scripts
        self._allowed = allowed

    async def count(self, limit: LimitName, who: str, *, cost: int = 1) -> None:
        await self._run(limit, who, cost=cost)

    async def count_all(self, uses: Mapping[LimitName, str]) -> None:
        # Each counter may be on another server, so none of them can be asked about the others.
        names = [name for name in uses if name in self._allowed]
        outcomes = await asyncio.gather(
            *(self.count(name, uses[name]) for name in names), return_exceptions=True
        )
        refusals = [outcome for outcome in outcomes if outcome is not None]
        if not refusals:
            return
        for name, outcome in zip(names, outcomes, strict=True):
            if outcome is None:
                with suppress(SessionStoreUnavailable):
                    await self.add(name, uses[name], cost=-1)
        # All of them have to allow it, so the longest wait is the one to tell.
        raise max(refusals, key=lambda one: getattr(one, "retry_after", None) or 0)

    async def check(self, limit: LimitName, who: str) -> None:
        await self._run(limit, who, cost=0)

    async def add(self, limit: LimitName, who: str, *, cost: int) -> None:
        await self._run(limit, who, cost=cost, mode="always")

    async def _run(self, limit: LimitName, who: str, *, cost: int, mode: str = "") -> None:
        allowed = self._allowed.get(limit)
        if allowed is None:
            return
        wait_ms = await self._scripts.run_idempotent(
            _COUNT,
            f"{KEY_PREFIX}{limit}:{_digest(who)}",
            cost,
            allowed.amount,
            allowed.get_expiry() * 1000,
            mode,
        )
        if not isinstance(wait_ms, int):
            raise SessionStoreUnavailable  # the reply to something else
        if wait_ms:
            raise RateLimited(limit, retry_after=-(-wait_ms // 1000))


def _digest(who: str) -> str:
    """Stands for `who` without telling it."""
    return base64url.encode(hashlib.sha256(who.encode()).digest())[:22]
