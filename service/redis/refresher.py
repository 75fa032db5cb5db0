"""Keeps a topology up to date: every second, and at once when something looks wrong."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Final, TypeVar

from service.redis.errors import NoNode, describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from service.core.outage import Outage

T = TypeVar("T")

_EVERY_SECONDS: Final = 1.0
"""A worker without requests learns of a new node no later than this."""
_PAUSE_SECONDS: Final = 0.1
"""Between two refreshes, however many requests fail."""


class TopologyRefresher:
    """Refreshes, in a task of its own, for as long as it is not closed."""

    def __init__(self, refresh: Callable[[], Awaitable[None]], outage: Outage) -> None:
        """`refresh` learns which nodes there are; it may fail."""
        self._refresh = refresh
        self._outage = outage
        self.fault: Exception | None = None
        """Why the last refresh has failed; None when it has not."""
        self._wanted = asyncio.Event()
        self._refreshed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def refresh_soon(self) -> None:
        """Have it refreshed in the background."""
        self._wanted.set()
        if self._task is None:
            # Not of the request that happened to want it first.
            self._task = asyncio.create_task(self._run(), context=Context())

    async def refresh(self, *, timeout: float) -> None:
        """Wait for the end of a refresh, or of the one under way; `timeout` seconds at most."""
        self._refreshed.clear()
        self.refresh_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._refreshed.wait()

    async def aclose(self) -> None:
        """Stop."""
        self._closed = True
        self._wanted.set()
        if self._task is not None:
            # This may be lost in the driver: it sends by `asyncio.wait_for`, which before
            # Python 3.12 swallows a cancellation that comes when it is just done.
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._closed:
            self._wanted.clear()
            try:
                await self._refresh()
                self.fault = None
            except Exception as fault:  # noqa: BLE001 # must not end the task: the next refresh may succeed
                self.fault = fault
                self._outage.failed("topology", describe(fault))
            self._refreshed.set()
            await asyncio.sleep(_PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._wanted.wait()


async def majority_of(questions: Sequence[Awaitable[T]], *, timeout: float) -> list[T]:
    """The answers there are when more than half have answered, or after `timeout` seconds.

    So neither a dead server nor one that is cut off from the rest decides
    alone, and none holds up the others. Raises NoNode, for the last fault, where
    all have failed.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    answers: list[T] = []
    fault: Exception | None = None
    try:
        for answer in asyncio.as_completed(tasks, timeout=timeout):
            try:
                answers.append(await answer)
            except Exception as one:  # noqa: BLE001 # one that fails, or cannot be read, is no answer
                fault = one
            if 2 * len(answers) > len(tasks):
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if fault and not answers:
        raise NoNode from fault
    return answers
