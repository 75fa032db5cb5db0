"""A day of a mini-program's users, as flows: who opens it, and who of them has no session.

Users open the mini-program at random, all alike, `opens` times a day on the
average and more often at some hours than at others. Whoever has no live session
logs in; a session lives two hours. With λ(t) for the opens per user and second
and u(t) for the share of users without a session,

    logins per user and second  l(t) = λ(t) u(t)
    du/dt = l(t - two hours) - l(t)

which is stepped through from four in the morning, when nobody has one. When Redis
loses its memory, those who have the mini-program open log in as well, each with
their next request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_DAY: Final = 86_400
_BEGINS: Final = 4 * 3600
_TTL: Final = 7200
STEP: Final = 10
"""Seconds."""
_PEAKS: Final = ((8.5, 1.0, 1.0), (12.3, 1.2, 0.9), (20.5, 2.2, 1.3))
"""Hour of the day, width in hours, height: the way to work, lunch, the evening."""
_NIGHT: Final = 0.05
_HOURLY: Final = 1.0
"""How much the first minutes of an hour stand above the rest: a sale, a lesson, a shift begins."""
_HOURLY_SECONDS: Final = 90
_VISIT: Final = 300
"""Seconds that the mini-program stays open."""
CHECKS_AN_OPEN: Final = 15


@dataclass(frozen=True, slots=True)
class Day:
    """Per user: each list has one value for each step."""

    hours: list[float]
    opens: list[float]
    """Per second."""
    logins: list[float]
    """Per second."""
    live: list[float]
    """Share of users with a session."""

    @property
    def logins_a_day(self) -> float:
        """Of the average user."""
        return sum(self.logins) * STEP

    @property
    def codes(self) -> float:
        """The most logins in any five minutes: so many used codes are remembered."""
        span = 300 // STEP
        return max(sum(self.logins[at : at + span]) * STEP for at in range(len(self.logins)))


def live_through(*, opens_a_day: float, lost_at: float | None = None) -> Day:
    """A whole day; `lost_at`: the hour at which Redis loses its memory."""
    weights = [_weight((_BEGINS + at) / 3600 % 24) for at in range(0, _DAY, STEP)]
    share = opens_a_day / (sum(weights) * STEP)
    opens = [weight * share for weight in weights]
    lost = None if lost_at is None else int((lost_at * 3600 - _BEGINS) // STEP)
    logins, live = _step_through(opens, lost)
    hours = [(_BEGINS + at) / 3600 for at in range(0, _DAY, STEP)]
    return Day(hours, opens, logins, live)


def _step_through(opens: list[float], lost: int | None) -> tuple[list[float], list[float]]:
    logins: list[float] = []
    live: list[float] = []
    without, kept_since, visiting = 1.0, 0, 0.0
    for at, rate in enumerate(opens):
        if at == lost:
            without, kept_since, visiting = 1.0, at, rate * _VISIT
        expiring = at - _TTL // STEP
        ended = logins[expiring] * STEP if expiring >= kept_since else 0.0
        # Exact over a step: who has none logs in at this rate.
        login = without * -math.expm1(-rate * STEP)
        asking = visiting * -math.expm1(-STEP * CHECKS_AN_OPEN / _VISIT)
        visiting -= asking
        login += asking
        without += ended - login
        logins.append(login / STEP)
        live.append(1 - without)
    return logins, live


def _weight(hour: float) -> float:
    tide = _NIGHT + sum(
        height * math.exp(-0.5 * ((hour - peak) / width) ** 2) for peak, width, height in _PEAKS
    )
    since_full = hour % 1 * 3600
    from_full = min(since_full, 3600 - since_full)
    return tide * (1 + _HOURLY * math.exp(-0.5 * (from_full / _HOURLY_SECONDS) ** 2))
