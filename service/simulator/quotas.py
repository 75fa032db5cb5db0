"""How often a user may have codes exchanged."""

from __future__ import annotations

from collections import Counter


class MinuteQuotas:
    """Counts per user and calendar minute."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def take(self, user: str, *, now: float) -> bool:
        """Count one call; False when the user has none left in this minute."""
        minute = int(now // 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        if self._counts[user] >= self._limit:
            return False
        self._counts[user] += 1
        return True
