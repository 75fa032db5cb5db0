"""How many calls one user, or one app, may make in a minute or on a day."""

from __future__ import annotations

from collections import Counter

MINUTE = 60
DAY = 86_400
_BEIJING = 8 * 3600


class Quotas:
    """Counts per name and period; a period begins with the minute or day of Beijing's clock."""

    def __init__(self, *, limit: int, seconds: int = MINUTE) -> None:
        self._limit = limit
        self._seconds = seconds
        self._period = 0
        self._counts: Counter[str] = Counter()

    def take(self, name: str, *, now: float) -> bool:
        """Count one call; False when there is none left in this period."""
        period = int((now + _BEIJING) // self._seconds)
        if period != self._period:
            self._period = period
            self._counts.clear()
        if self._counts[name] >= self._limit:
            return False
        self._counts[name] += 1
        return True
