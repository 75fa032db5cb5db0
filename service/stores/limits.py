"""Limits in Redis, shared by all workers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core import base64url
from service.core.errors import RateLimited
from service.redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.core.ports import LimitName
    from service.redis.scripts import Scripts

KEY_PREFIX: Final = "minigate:limit:"

_COUNT: Final = Script(Path(__file__).with_name("lua") / "count.lua", fenced=False)


class RedisLimits:
    """The Limits port. A limit that is not given allows everything."""

    def __init__(self, scripts: Scripts, allowed: Mapping[LimitName, tuple[int, int]]) -> None:
        """`allowed`: by name, how many uses within how many seconds."""
        self._scripts = scripts
        self._allowed = allowed

    async def count(self, limit: LimitName, who: str, *, cost: int = 1) -> None:
        await self._run(limit, who, cost=cost)

    async def check(self, limit: LimitName, who: str) -> None:
        await self._run(limit, who, cost=0)

    async def add(self, limit: LimitName, who: str, *, cost: int) -> None:
        await self._run(limit, who, cost=cost, mode="always")

    async def _run(self, limit: LimitName, who: str, *, cost: int, mode: str = "") -> None:
        if limit not in self._allowed:
            return
        allowed, seconds = self._allowed[limit]
        key = f"{KEY_PREFIX}{limit}:{_digest(who)}"
        wait_ms = await self._scripts.run_idempotent(
            _COUNT, key, cost, allowed, seconds * 1000, mode
        )
        if wait_ms:
            raise RateLimited(limit, retry_after=-(-int(wait_ms) // 1000))


def _digest(who: str) -> str:
    """Stands for `who` without telling it."""
    return base64url.encode(hashlib.sha256(who.encode()).digest())[:22]
