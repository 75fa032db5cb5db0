"""What was asked of the simulator, for tests to look at."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable


class EndpointCalls(TypedDict):
    """Calls of one endpoint: how many arrived, and what WeChat decided on them."""

    total: int
    errcodes: dict[str, int]
    repeatedCodes: int


class StatsView(TypedDict):
    """The answer to GET /sim/stats."""

    calls: dict[str, EndpointCalls]
    repeatedCodes: int
    """Of all endpoints together."""


class Stats:
    """Counters since the start or the last reset."""

    _REMEMBERED = 500_000
    """Presented codes are kept in two sets of at most this many, the older one dropped whole."""

    def __init__(self, *, endpoints: Iterable[str]) -> None:
        self._endpoints = tuple(endpoints)
        self.reset()

    def reset(self) -> None:
        """Start again from zero."""
        self._totals: Counter[str] = Counter(dict.fromkeys(self._endpoints, 0))
        self._errcodes: dict[str, Counter[int]] = {path: Counter() for path in self._endpoints}
        self._repeated: Counter[str] = Counter(dict.fromkeys(self._endpoints, 0))
        # Hashes, not the codes: small, and nothing to leak.
        self._presented: set[int] = set()
        self._presented_before: set[int] = set()

    def arrived(self, endpoint: str, *, code: str | None) -> None:
        """Count a call, and whether its code was presented there before, whatever comes of it."""
        self._totals[endpoint] += 1
        if not code:
            return
        mark = hash((endpoint, code))
        if mark in self._presented or mark in self._presented_before:
            self._repeated[endpoint] += 1
            return
        if len(self._presented) >= self._REMEMBERED:
            self._presented_before, self._presented = self._presented, set()
        self._presented.add(mark)

    def decided(self, endpoint: str, *, errcode: int) -> None:
        """Count an outcome, whether or not the reply gets through afterwards."""
        self._errcodes[endpoint][errcode] += 1

    def view(self) -> StatsView:
        """Return the counters as they leave for the client."""
        return {
            "calls": {
                path: {
                    "total": self._totals[path],
                    "errcodes": {
                        str(errcode): count
                        for errcode, count in sorted(self._errcodes[path].items())
                    },
                    "repeatedCodes": self._repeated[path],
                }
                for path in self._endpoints
            },
            "repeatedCodes": self._repeated.total(),
        }
