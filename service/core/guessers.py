"""Whose login codes may be made up: whether one is, only WeChat can tell."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from typing import Final

REMEMBERED_SECONDS: Final = 60.0
_MOST: Final = 16384
"""Addresses. Whoever has more of them has a share of what all have as it is (docs/adr/0023)."""


class Guessers:
    """The addresses whose code WeChat has not known, for a minute after that, in one worker.

    And those with a code under way: of many at once, all may be made up before the
    first one is known to be.
    """

    def __init__(self) -> None:
        self._failed_at: OrderedDict[str, float] = OrderedDict()
        """Monotonic seconds, the oldest first."""
        self._asking: Counter[str] = Counter()

    def may_guess(self, address: str) -> bool:
        """Whether the next code of this address may well be made up."""
        failed_at = self._failed_at.get(address)
        is_known = failed_at is not None and time.monotonic() < failed_at + REMEMBERED_SECONDS
        return is_known or address in self._asking

    def asking(self, address: str) -> _Asking:
        """Around a code's way to WeChat."""
        return _Asking(self._asking, address)

    def note(self, address: str) -> None:
        """Remember that WeChat did not know a code of this address."""
        self._failed_at[address] = time.monotonic()
        self._failed_at.move_to_end(address)
        self._forget()

    def _forget(self) -> None:
        """Let go of the oldest where they are too old or too many: two at most, one has come."""
        outdated = time.monotonic() - REMEMBERED_SECONDS
        for _ in range(2):
            oldest = next(iter(self._failed_at))
            if self._failed_at[oldest] > outdated and len(self._failed_at) <= _MOST:
                return
            del self._failed_at[oldest]


class _Asking:
    """A class, because that is faster than a generator, and around every login."""

    __slots__ = ("_address", "_asking")

    def __init__(self, asking: Counter[str], address: str) -> None:
        self._asking = asking
        self._address = address

    def __enter__(self) -> None:
        self._asking[self._address] += 1

    def __exit__(self, *_: object) -> None:
        self._asking[self._address] -= 1
        if not self._asking[self._address]:
            del self._asking[self._address]
