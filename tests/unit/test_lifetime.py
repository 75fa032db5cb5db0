"""How long a session lives, in numbers."""

from __future__ import annotations

import pytest

from service.core.lifetime import Lifetime, whole_seconds

FIXED = Lifetime.of(ttl=7200, max_age=86_400, sliding=False)
SLIDING = Lifetime.of(ttl=7200, max_age=86_400, sliding=True)
FAR = 86_400_000


def test_a_fixed_lifetime_has_no_greater_age() -> None:
    assert (FIXED.ttl_ms, FIXED.max_age_ms) == (7_200_000, 7_200_000)


def test_a_sliding_one_has() -> None:
    assert (SLIDING.ttl_ms, SLIDING.max_age_ms) == (7_200_000, 86_400_000)


@pytest.mark.parametrize(("wanted", "window"), [(0, 0), (3000, 3000), (3_600_001, 3_600_000)])
def test_sessions_are_shared_in_the_first_half_of_their_life_at_most(
    wanted: int, window: int
) -> None:
    assert FIXED.sharing_window_ms(wanted) == window


@pytest.mark.parametrize(
    ("left", "until_max_age", "renewed"),
    [
        (7_200_000, FAR, None),
        (3_600_001, FAR, None),
        (3_600_000, FAR, 7_200_000),
        (1, FAR, 7_200_000),
        # Near its greatest age it is given what is left of that,
        (1_000_000, 2_000_000, 2_000_000),
        (1_999_999, 2_000_000, 2_000_000),
        # and nothing where it has that already, or where that is over.
        (2_000_000, 2_000_000, None),
        (2_000_001, 2_000_000, None),
        (1000, 0, None),
        (1000, -1, None),
        # It ended between the read of its value and that of its time to live.
        (-2, FAR, 7_200_000),
    ],
)
def test_a_session_in_use_is_renewed_below_half_its_time(
    left: int, until_max_age: int, renewed: int | None
) -> None:
    assert SLIDING.renewed_ms(left, until_max_age_ms=until_max_age) == renewed


@pytest.mark.parametrize(
    ("left", "seconds"), [(7_199_999, 7199), (1000, 1), (999, 0), (0, 0), (-2, 0), (-5000, 0)]
)
def test_clients_are_told_whole_seconds_and_none_below_zero(left: int, seconds: int) -> None:
    assert whole_seconds(left) == seconds
