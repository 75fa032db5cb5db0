"""How long a session lives: what SESSION_TTL, SESSION_RENEWAL and SESSION_MAX_AGE come to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The rule for sessions that are opened now; times are milliseconds."""

    ttl_ms: int
    """What a login gives, and a renewal at most."""
    max_age_ms: int
    """From the login on, however often it is renewed."""
    sliding: bool
    """Whether use renews it."""

    @classmethod
    def of(cls, *, ttl: int, max_age: int, sliding: bool) -> Lifetime:
        """From seconds, as in the settings. A fixed lifetime is all there is."""
        return cls(ttl * 1000, (max_age if sliding else ttl) * 1000, sliding)

    def sharing_window_ms(self, wanted_ms: int) -> int:
        """How young a session must be to be shared: nobody gets one that is about to end."""
        return min(wanted_ms, self.ttl_ms // 2)

    def renewed_ms(self, left_ms: int, *, until_max_age_ms: int) -> int | None:
        """What a session in use is given; None where it is not due, or cannot get any more.

        Due when under half is left, so that use costs a write an hour and not
        one a request.
        """
        longest = min(self.ttl_ms, until_max_age_ms)
        is_due = left_ms * 2 <= self.ttl_ms and left_ms < longest
        return longest if is_due else None


def whole_seconds(left_ms: int) -> int:
    """What is left, as clients are told."""
    return max(left_ms, 0) // 1000
