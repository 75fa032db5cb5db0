"""Moments planned beforehand, at even distances: a timer of the kernel counts those that have come.

Timers of an event loop come up to a millisecond late, as long as some answers take.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Final

_CLOCK: Final = time.CLOCK_MONOTONIC
_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_SECOND: Final = 1_000_000_000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create came with Python 3.13


class Arrivals:
    """`rate` moments a second from now on; readable as a file when one has come."""

    def __init__(self, rate: float) -> None:
        self._every = round(_SECOND / rate)
        self._first = time.clock_gettime_ns(_CLOCK) + self._every
        self._file = _checked(_LIBC.timerfd_create(_CLOCK, os.O_NONBLOCK | os.O_CLOEXEC))
        times = (*divmod(self._every, _SECOND), *divmod(self._first, _SECOND))
        plan = (ctypes.c_long * 4)(*times)  # struct itimerspec
        _checked(_LIBC.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(plan), None))

    def fileno(self) -> int:
        """For the event loop."""
        return self._file

    def planned(self, number: int) -> float:
        """When the moment of this number is, from 0 on: seconds of `time.monotonic`."""
        return (self._first + number * self._every) / _SECOND

    def come(self) -> int:
        """How many have come since this was last asked."""
        try:
            return int.from_bytes(os.read(self._file, 8), sys.byteorder)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """No more."""
        os.close(self._file)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
