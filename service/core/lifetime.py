"""How long a session lives, by SESSION_TTL, SESSION_RENEWAL and SESSION_MAX_AGE."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The rule for sessions that are opened now; times are milliseconds."""

    ttl_ms: int
    """What a login gives, and the most that a renewal gives."""
    max_age_ms: int
    """From the login on, however often it is renewed."""
    sliding: bool
    """Whether use renews it."""

    @classmethod
    def of(cls, *, ttl: int, max_age: int, sliding: bool) -> Lifetime:
        """From seconds, as in the settings. `max_age` counts only where it is sliding."""
        return cls(ttl * 1000, (max_age if sliding else ttl) * 1000, sliding)

    def sharing_window_ms(self, wanted_ms: int) -> int:
        """How young a session must be to be shared: nobody gets one that is about to end."""
        return min(wanted_ms, self.ttl_ms // 2)

    def renewed_ms(self, left_ms: int, *, until_max_age_ms: int) -> int | None:
        """The new time to live of a session in use; None where it gets none.

        It gets one when no more than half is left, so that use costs a write an
        hour and not one a request, and when that is more than it has.
        """
        longest = min(self.ttl_ms, until_max_age_ms)
        is_due = left_ms * 2 <= self.ttl_ms and left_ms < longest
        return longest if is_due else None


def whole_seconds(left_ms: int) -> int:
    """Milliseconds left, in the seconds that clients are told."""
    return max(left_ms, 0) // 1000
