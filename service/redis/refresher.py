"""Watches for a change of primaries: now and then, and at once when something looks wrong."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from service.stores.outage import OutageLog

T = TypeVar("T")

_EVERY_SECONDS: Final = 1.0
"""A worker that nobody asks meanwhile hears of a new primary no later than this."""
_PAUSE_SECONDS: Final = 0.1
"""Between two looks, however many requests fail."""


class Lookout:
    """Looks, in a task of its own, for as long as it is not closed."""

    def __init__(self, look: Callable[[], Awaitable[None]], outage: OutageLog) -> None:
        """`look` learns who the primaries are; it may fail."""
        self._look = look
        self._outage = outage
        self._suspicion = asyncio.Event()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def suspect(self) -> None:
        """Look again soon."""
        self._suspicion.set()
        self._begin()

    async def look(self, *, patience: float) -> None:
        """Wait for the end of a look that begins now, but no longer than `patience` seconds."""
        self._looked.clear()
        self.suspect()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._looked.wait()

    async def aclose(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            self._suspicion.clear()
            try:
                await self._look()
            except Exception as fault:
                self._outage.failed("topology", fault)
            self._looked.set()
            await asyncio.sleep(_PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._suspicion.wait()


async def most_of(questions: Sequence[Awaitable[T]], *, seconds: float) -> list[T]:
    """The answers there are when more than half have answered, or when the time is up.

    So neither a dead server nor one that is cut off from the rest decides
    alone, and none holds up the others.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    answers: list[T] = []
    try:
        for answer in asyncio.as_completed(tasks, timeout=seconds):
            with suppress(Exception):
                answers.append(await answer)
            if 2 * len(answers) > len(tasks):
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return answers
