"""Looks at what the service leans on: an outage is in the log though nobody asks anything."""

from __future__ import annotations

import asyncio
import logging
import random
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from service.core.outage import Outages

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks, give or take a fifth, so that the workers do not look in step."""
AWAY_SECONDS = 1.0
"""The same while something is away."""


class Watch:
    """One for each worker."""

    def __init__(self, outages: Outages, looks: Sequence[Callable[[], Awaitable[object]]]) -> None:
        """`looks`: each tells an Outage what it has found, and takes a second or two at most."""
        self._outages = outages
        self._looks = looks
        self._random = random.Random()  # noqa: S311 # jitter
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on, on the running event loop."""
        self._task = asyncio.create_task(self._run(), context=Context())

    async def aclose(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            pause = AWAY_SECONDS if self._outages.any_last else LOOK_SECONDS
            await asyncio.sleep(pause * self._random.uniform(0.8, 1.2))
            found = await asyncio.gather(*(look() for look in self._looks), return_exceptions=True)
            for bug in (one for one in found if isinstance(one, Exception)):
                log.error("a look failed", exc_info=bug)
            self._outages.remind()
