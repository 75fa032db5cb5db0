"""Figures with their spread: what a number is worth is how far it moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several measurements, and the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """`values` in any order, at least one."""
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        """`0.93 (0.91 to 0.95)`."""
        shown = [f"{value:,.{digits}f}" for value in (self.median, self.low, self.high)]
        return f"{shown[0]} ({shown[1]} to {shown[2]})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, round by round: what slows a whole round down cancels out."""
    return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of `ordered` does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
