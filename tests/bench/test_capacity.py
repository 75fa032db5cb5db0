from __future__ import annotations

import pytest

from tests.bench.capacity import Constants, needs
from tests.bench.morning import STEP, live_through

_CONSTANTS = Constants(
    session_bytes=460,
    marker_bytes=110,
    check_us=80,
    check_redis_us=2,
    login_us=1000,
    login_redis_us=80,
    worker_mb=100,
)


def test_a_day_has_as_many_opens_as_it_is_told() -> None:
    day = live_through(opens_a_day=4)

    assert sum(day.opens) * STEP == pytest.approx(4)
    assert 0 <= min(day.live) <= max(day.live) <= 1


def test_nobody_logs_in_who_has_a_session() -> None:
    """Each login is of somebody without one, so a user has at most one per two hours."""
    day = live_through(opens_a_day=400)

    assert day.logins_a_day <= 12.5
    assert day.logins_a_day < live_through(opens_a_day=4000).logins_a_day <= 12.5


def test_rare_users_log_in_with_each_open() -> None:
    assert live_through(opens_a_day=0.01).logins_a_day == pytest.approx(0.01, rel=0.01)


def test_a_redis_that_forgets_makes_a_spike_and_heals() -> None:
    ordinary = live_through(opens_a_day=4)
    lost = live_through(opens_a_day=4, lost_at=8.5)
    at = lost.logins.index(max(lost.logins))

    assert lost.hours[at] == pytest.approx(8.5, abs=0.01)
    assert lost.live[at] < 0.1 < lost.live[at - 1]
    assert max(lost.logins) > 5 * max(ordinary.logins)
    assert lost.live[-1] == pytest.approx(ordinary.live[-1], rel=0.01)


def test_needs_grow_with_users_and_never_fall_below_two_workers() -> None:
    day = live_through(opens_a_day=4)
    small, large = (needs(users, day, _CONSTANTS) for users in (1000, 100_000_000))

    assert (small.workers, small.nodes) == (2, 1)
    assert large.workers == pytest.approx(large.worker_cores / 0.5, abs=1)
    assert large.nodes > 1
