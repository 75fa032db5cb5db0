from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from service.redis.clock import ServerClock


def test_a_clock_that_has_seen_nothing_says_so() -> None:
    assert not ServerClock().known


def test_the_time_told_is_never_ahead_of_the_server() -> None:
    clock = ServerClock()
    clock.observe(1_000_500, sent=1.0, received=2.0)
    assert clock.now_ms(2.0) <= 1_000_500
    clock.observe(1_003_000, sent=4.0, received=4.001)
    assert clock.now_ms(4.001) == 1_003_000


def test_a_server_set_back_or_forward_is_believed() -> None:
    clock = ServerClock()
    clock.observe(5_000_000, sent=1.0, received=1.001)
    for server_ms in (1_000, 9_000_000):
        clock.observe(server_ms, sent=2.0, received=2.001)
        assert abs(clock.now_ms(2.001) - server_ms) <= 1


@given(
    offset=st.integers(10**6, 2 * 10**12),
    delays=st.lists(
        st.tuples(st.floats(0.001, 5), st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=20
    ),
)
def test_whatever_the_delays_a_deadline_can_only_come_early(
    offset: int, delays: list[tuple[float, float, float]]
) -> None:
    clock, now = ServerClock(), 1000.0
    for pause, there, back in delays:
        sent = now + pause
        server_ms = math.floor(offset + (sent + there) * 1000)
        now = sent + there + back
        clock.observe(server_ms, sent=sent, received=now)
    assert clock.now_ms(now) <= offset + now * 1000 + 0.01
