"""What the load generator is to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_KEPT: Final = 0.98


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask, and how hard."""

    port: int
    requests: list[str] = field(repr=False)
    """Whole HTTP requests; non-ASCII has no place in them."""
    expects: list[str] = field(repr=False)
    """What each answer must contain, the caller's own id say; as many as requests, or none."""
    connections: int
    seconds: float
    warm_up: float = 0.0
    """Seconds before it counts."""
    once: bool = False
    """Send each request once and stop when there are none left."""
    rate: float = 0.0
    """Requests per second, at moments planned beforehand; 0: each as soon as there is an answer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    came: int
    """Answers in the time that counts."""
    answered: int
    """Those among them whose requests were not planned for the warm-up."""
    offered: int
    """Requests that were planned for the time that counts, where moments were planned."""
    served: int
    """All answers, those of the warm-up and after the end included."""
    seconds: float
    p50: float
    """Milliseconds, as are the others; from the planned moment, if there was one."""
    p90: float
    p99: float
    slowest: float
    late: float
    """How late the generator itself came to what was planned: 99th percentile."""
    cpu: float
    """Share of its core that the generator used."""
    bytes_each: float
    statuses: dict[str, int]
    strangers: int
    """Answers without what they had to contain."""
    broken: int
    """Connections that ended, or never began."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.came / self.seconds

    @property
    def clean(self) -> bool:
        """Whether every answer was a 200 and the caller's own."""
        return set(self.statuses) == {"200"} and not self.strangers and not self.broken

    @property
    def kept_up(self) -> bool:
        """Whether answers came as fast as requests; if not, latencies tell how long it ran."""
        return self.answered >= _KEPT * self.offered
