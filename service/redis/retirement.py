"""Where servers go that are primaries no more: their calls under way end before they are closed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.redis.node import Primary

_LINGER_SECONDS: Final = 5.0
"""Longer than any call, with all its attempts, takes."""


class Retirement:
    """Closes primaries, a while after they came."""

    def __init__(self) -> None:
        self._due: dict[Primary, float] = {}

    def add(self, primary: Primary) -> None:
        """Have it closed later; one that is here already keeps its time."""
        self._due.setdefault(primary, time.monotonic() + _LINGER_SECONDS)

    def recall(self, primary: Primary) -> None:
        """It is needed again."""
        self._due.pop(primary, None)

    async def close_due(self) -> list[Primary]:
        """Close those whose time has come; returns them."""
        now = time.monotonic()
        due = [primary for primary, at in self._due.items() if at <= now]
        await self._close(due)
        return due

    async def aclose(self) -> None:
        """Close all."""
        await self._close(list(self._due))

    async def _close(self, primaries: list[Primary]) -> None:
        for primary in primaries:
            del self._due[primary]
            await primary.aclose()
