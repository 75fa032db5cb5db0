"""How much a run tries: `make faults` repeats more often what depends on the moment."""

from __future__ import annotations

import os
from typing import Final, TypeVar

THOROUGH: Final = bool(os.environ.get("THOROUGH"))

T = TypeVar("T")


def effort(usual: T, thorough: T) -> T:
    """The one of `make test`, or that of `make faults`."""
    return thorough if THOROUGH else usual
