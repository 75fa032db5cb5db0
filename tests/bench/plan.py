"""How long to measure what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.bench.rounds import Pace


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one run."""

    validate: Pace
    few_and_many: Pace
    """At each number of connections."""
    counting: Pace
    """With and without metrics."""
    loads: Pace
    """At each rate."""
    login: Pace
    idle_rounds: int
    crowd: Pace
    many: int
    weighed: int


FULL: Final = Plan(
    validate=Pace(rounds=8, seconds=2.0, warm_up=0.5),
    few_and_many=Pace(rounds=8, seconds=1.5, warm_up=0.3),
    counting=Pace(rounds=16, seconds=1.5, warm_up=0.3),
    loads=Pace(rounds=5, seconds=2.0, warm_up=0.5),
    login=Pace(rounds=6, seconds=2.5, warm_up=0.5),
    idle_rounds=15,
    crowd=Pace(rounds=12, seconds=2.5, warm_up=0.5),
    many=1_000_000,
    weighed=100_000,
)
QUICK: Final = Plan(
    validate=Pace(rounds=2, seconds=0.4, warm_up=0.1),
    few_and_many=Pace(rounds=2, seconds=0.3, warm_up=0.1),
    counting=Pace(rounds=4, seconds=0.5, warm_up=0.1),
    loads=Pace(rounds=1, seconds=0.4, warm_up=0.1),
    login=Pace(rounds=1, seconds=0.6, warm_up=0.2),
    idle_rounds=3,
    crowd=Pace(rounds=2, seconds=0.5, warm_up=0.2),
    many=20_000,
    weighed=20_000,
)
