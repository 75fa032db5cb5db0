"""What is looked at once a second: the event loop, the pools, and what waits to be handed over."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Final

from service.metrics import series
from service.metrics.tally import flush_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.metrics.figures import Figures

EVERY_SECONDS: Final = 1.0
_REMEMBERED: Final = 60


class Sampler:
    """Looks, by one timer, from `start` to `aclose`."""

    def __init__(
        self, pools: Mapping[str, Callable[[], tuple[int, int]]], figures: Figures
    ) -> None:
        """`pools`: how much of each is in use, and how much there is."""
        self._pools = pools
        self._figures = figures
        self._lags: deque[float] = deque(maxlen=_REMEMBERED)
        self._timer: asyncio.TimerHandle | None = None
        self._noting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look now, and from now on, on the running event loop."""
        self._look()
        self._again(time.monotonic() + EVERY_SECONDS)

    async def aclose(self) -> None:
        """Look once more, and then no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._noting is not None:
            await self._noting
        self._look()

    def _again(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            max(due - time.monotonic(), 0), self._tick, due, context=Context()
        )

    def _tick(self, due: float) -> None:
        now = time.monotonic()
        lag = max(now - due, 0)
        self._again(now + EVERY_SECONDS)
        series.loop_lag.observe(lag)
        self._lags.append(lag)
        self._look()
        if self._noting is None and self._figures.is_due:
            self._noting = asyncio.create_task(self._note(), context=Context())

    async def _note(self) -> None:
        try:
            await self._figures.note()
        finally:
            self._noting = None

    def _look(self) -> None:
        series.loop_lag_max.set(max(self._lags, default=0))
        for name, use_of in self._pools.items():
            used, size = use_of()
            series.pool_used.labels(name).set(used)
            series.pool_size.labels(name).set(size)
        flush_all()
