"""A call of WeChat as /metrics tells of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

from service.metrics.series import wechat_calls, wechat_seconds

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Outcome: TypeAlias = Literal["broken", "busy", "unusable", "unreachable", "timeout", "refused"]


class Measured:
    """Around a call and all that it waits for; `outcome` is what it failed by, if it fails now."""

    __slots__ = ("_began", "_path", "_seconds", "outcome")

    def __init__(self, path: str) -> None:
        """`path`: of the endpoint, a word of our own."""
        self._path = path
        self._began = 0.0
        self._seconds: float | None = None
        self.outcome: Outcome = "broken"

    def begin(self) -> None:
        """It is asked now."""
        self._began = time.monotonic()
        self.outcome = "unusable"

    def end(self, outcome: Outcome) -> None:
        """It has been asked; `outcome`, unless its answer turns out to be a good one."""
        self.outcome = outcome
        self._seconds = time.monotonic() - self._began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        fault: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if fault is None:
            outcome = "ok"
        elif isinstance(fault, asyncio.CancelledError):
            outcome = "cancelled"
        else:
            outcome = self.outcome
        wechat_calls.add(self._path, outcome)
        if self._began:
            seconds = self._seconds
            if seconds is None:
                seconds = time.monotonic() - self._began
            wechat_seconds.observe(seconds, self._path)
