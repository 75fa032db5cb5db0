"""A small change for each bar, with which it does not hold: `make faults MUTANTS=1` tries them.

tests/unit/test_bars.py sees to it that each still has something to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file, and the tests of which one has to fail."""

    bar: str
    change: str
    file: str
    old: str
    new: str
    test: str
    """What pytest is to be told, below the repository."""

    def apply(self, text: str) -> str:
        """The file with the change; an error where it is not to be made exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.bar}: {self.file} has this {text.count(self.old)} times")
        return text.replace(self.old, self.new)


MUTANTS: Final[tuple[Mutant, ...]] = ()
