"""What a load test must hold, as a file says; read where nothing of the service is installed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT: Final = Path(__file__).with_name("thresholds.toml")


@dataclass(frozen=True, slots=True)
class Threshold:
    """The bounds of one kind of request in one scenario."""

    name: str
    p50: float
    """Milliseconds, as is `p99`."""
    p99: float
    requests: int
    """At least so many: a scenario that did nothing has shown nothing."""
    failures: int = 0
    beside: str | None = None
    """Another kind, whose p99 this one's may exceed by a fifth and 5 ms at most."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of that kind of request."""

    requests: int = 0
    failures: int = 0
    p50: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bound, and what was measured."""

    name: str
    what: str
    bound: float
    measured: float
    held: bool

    def __str__(self) -> str:
        mark = "ok  " if self.held else "MISS"
        return f"{mark} {self.name:28} {self.what:10} {self.measured:9,.0f}  of {self.bound:7,.0f}"


def load(path: Path, *, scale: float = 1.0) -> list[Threshold]:
    """Read a file of thresholds; a run of another length has that many requests."""
    rows = tomllib.loads(path.read_text())["threshold"]
    return [Threshold(**{**row, "requests": int(row["requests"] * scale)}) for row in rows]


def judge(thresholds: list[Threshold], measured: dict[str, Measured]) -> list[Verdict]:
    """Hold every bound against what was measured; what never happened holds none."""
    verdicts = []
    for one in thresholds:
        found = measured.get(one.name, Measured())
        done = found.requests >= one.requests
        verdicts.append(Verdict(one.name, "requests", one.requests, found.requests, done))
        for what, bound, value in (
            ("failures", one.failures, found.failures),
            ("p50 ms", one.p50, found.p50),
            ("p99 ms", one.p99, found.p99),
        ):
            verdicts.append(Verdict(one.name, what, bound, value, value <= bound))
        if one.beside is not None:
            bound = 1.2 * measured.get(one.beside, Measured()).p99 + 5
            verdicts.append(Verdict(one.name, "p99 beside", bound, found.p99, found.p99 <= bound))
    return verdicts
