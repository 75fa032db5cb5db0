"""Counting at the price of a few integers.

To add to a series of prometheus_client costs 1.4 µs, and an observation 2.7: a lock, and two
doubles written to a file that all workers share. A check of a session has 0.5 in all. So what is
counted is kept here, in plain numbers, and handed over once a second (docs/adr/0040).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import Counter, Histogram

from service.metrics.registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The upper bounds that latencies are told apart by."""


class Kept(Protocol):
    """What keeps numbers of its own for a while."""

    def flush(self) -> None:
        """Hand over what was counted since the last time."""
        ...


_kept: Final[list[Kept]] = []


def keep(one: Kept) -> None:
    """Have `flush_all` flush it, too."""
    _kept.append(one)


def flush_all() -> None:
    """Hand over to prometheus_client whatever was counted since the last time."""
    for one in _kept:
        one.flush()


class Tally:
    """Observations of one series since they were last taken."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many were not above each bound, but above the one before it."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def observe_many(self, value: float, count: int) -> None:
        """Count so many."""
        self.counts[bisect_left(self._bounds, value)] += count
        self.total += value * count

    def take(self) -> tuple[list[int], float, int]:
        """The counts, the total and the number of all; from now on it begins anew."""
        counts, total = self.counts, self.total
        self.counts, self.total = [0] * len(counts), 0.0
        return counts, total, sum(counts)


class Count:
    """A counter."""

    def __init__(
        self,
        name: str,
        says: str,
        labels: Sequence[str] = (),
        *,
        known: Iterable[tuple[str, ...]] = (),
    ) -> None:
        """`known`: label values that are told as 0 before anything is counted.

        From then on a first one shows as an increase.
        """
        self._series = Counter(name, says, labels, registry=REGISTRY)
        self._waiting: dict[tuple[str, ...], int] = {}
        for values in known:
            self._series.labels(*values)
        keep(self)

    def add(self, *values: str, by: int = 1) -> None:
        """Count, for these values of the labels."""
        self._waiting[values] = self._waiting.get(values, 0) + by

    def flush(self) -> None:
        """Hand over what waits."""
        waiting, self._waiting = self._waiting, {}
        for values, by in waiting.items():
            (self._series.labels(*values) if values else self._series).inc(by)


class Timing:
    """A histogram, of seconds unless it says otherwise."""

    def __init__(
        self, name: str, says: str, labels: Sequence[str] = (), *, bounds: Sequence[float] = SECONDS
    ) -> None:
        self._series = Histogram(name, says, labels, buckets=bounds, registry=REGISTRY)
        self._bounds = bounds
        self._tallies: dict[tuple[str, ...], Tally] = {}
        keep(self)

    def of(self, *values: str) -> Tally:
        """What is observed for these values of the labels; the same one each time."""
        tally = self._tallies.get(values)
        if tally is None:
            tally = self._tallies[values] = Tally(self._bounds)
        return tally

    def observe(self, value: float, *values: str) -> None:
        """Count one."""
        (self._tallies.get(values) or self.of(*values)).observe(value)

    def timed(self, *values: str) -> _Timed:
        """Around what is to be timed: `with`."""
        return _Timed(self._tallies.get(values) or self.of(*values))

    def flush(self) -> None:
        """Hand over what waits."""
        for values, tally in self._tallies.items():
            self.take(tally, *values)

    def take(self, tally: Tally, *values: str) -> int:
        """Hand a tally's observations over, and say how many they were."""
        counts, total, number = tally.take()
        if number:
            series = self._series.labels(*values) if values else self._series
            # There is no public way to add many at once (prometheus-client is pinned).
            for bucket, count in zip(series._buckets, counts, strict=True):  # noqa: SLF001
                if count:
                    bucket.inc(count)
            series._sum.inc(total)  # noqa: SLF001
        return number


class _Timed:
    """A class, because that is faster than a generator."""

    __slots__ = ("_began", "_tally")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._tally.observe(time.monotonic() - self._began)


class Sizes:
    """A histogram of whole numbers: a list of how many there were of each."""

    def __init__(self, name: str, says: str, *, bounds: Sequence[int]) -> None:
        """The last of `bounds` is the largest that there is."""
        self._series = Timing(name, says, bounds=bounds)
        self.counts = [0] * (bounds[-1] + 1)
        """To be counted up in place."""
        keep(self)

    def flush(self) -> None:
        """Hand over what waits."""
        tally = self._series.of()
        for size, count in enumerate(self.counts):
            if count:
                tally.observe_many(size, count)
                self.counts[size] = 0
        self._series.flush()
