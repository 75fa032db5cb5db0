"""The scenarios, one after the other: a morning in two minutes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CROWD: Final = 90
"""Virtual users. Those without a role in a phase look up now and then whether they have one."""
_IDLE_SECONDS: Final = 0.2
_FULL_TURN: Final = 2 * math.pi


@dataclass(frozen=True, slots=True)
class Phase:
    """One scenario."""

    name: str
    says: str
    seconds: float
    roles: tuple[tuple[str, int], ...]
    """Who does what: so many of each, by the numbers of the virtual users."""
    faults: tuple[dict[str, object], ...] = ()
    """Of the simulator, while it lasts."""

    def role_of(self, number: int) -> str | None:
        """What the virtual user of this number does; None: nothing."""
        for role, count in self.roles:
            if number < count:
                return role
            number -= count
        return None


MORNING: Final[Sequence[Phase]] = (
    Phase("steady", "40 back ends check sessions", 20, (("checker", 40),)),
    Phase(
        "storm",
        "80 people open the app at once, and it logs in three times for each",
        20,
        (("checker", 10), ("opener", 80)),
    ),
    Phase(
        "wave",
        "logins swell and ebb, as at the top of the hour",
        25,
        (("checker", 15), ("returner", 30)),
    ),
    Phase(
        "slow",
        "WeChat takes 1.5 s, and never answers one login in ten",
        25,
        (("checker", 40), ("returner", 40)),
        faults=(
            {"kind": "latency", "median_ms": 1500, "tail_ms": 2500},
            {"kind": "hang", "seconds": 10, "probability": 0.1},
        ),
    ),
    Phase("mixed", "a bit of everything", 25, (("checker", 10), ("mixer", 40))),
)


def morning(scale: float) -> list[Phase]:
    """All phases, so many times as long."""
    return [replace(phase, seconds=phase.seconds * scale) for phase in MORNING]


def pause(phase: Phase, role: str | None, elapsed: float) -> float:
    """Seconds until somebody of this role acts again, `elapsed` seconds into the phase."""
    match role:
        case "checker":
            return random.uniform(0.02, 0.06)
        case "opener":
            return random.uniform(2, 4)
        case "returner":
            return _tide(elapsed / phase.seconds) if phase.name == "wave" else 0.5
        case "mixer":
            return random.uniform(0.05, 0.3)
        case _:
            return _IDLE_SECONDS


def _tide(share: float) -> float:
    """From one login in two seconds to as fast as it goes, and back, as the phase passes."""
    height = (1 - math.cos(_FULL_TURN * share)) / 2
    return 2.0 * (1 - height) + 0.02
