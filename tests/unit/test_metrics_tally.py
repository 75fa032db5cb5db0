"""Counting in plain numbers, and handing them over."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.metrics import series
from service.metrics.registry import REGISTRY
from service.metrics.tally import SECONDS, Count, Sizes, Tally, Timing, flush_all

_numbers = itertools.count()


def fresh() -> str:
    """A name that no other test has."""
    return f"test_series_{next(_numbers)}"


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@given(st.lists(st.floats(0, 20)))
def test_a_tally_holds_what_a_histogram_would(values: list[float]) -> None:
    tally = Tally(SECONDS)
    for one in values:
        tally.observe(one)
    counts, total, number = tally.take()
    assert number == len(values)
    assert total == pytest.approx(sum(values))
    running = itertools.accumulate(counts)
    for bound, count in zip((*SECONDS, float("inf")), running, strict=True):
        assert count == sum(one <= bound for one in values)
    assert tally.take() == ([0] * (len(SECONDS) + 1), 0.0, 0)


def test_what_was_counted_is_handed_over_once() -> None:
    name = fresh()
    count = Count(name, "says", ["outcome"], known=[("ok",)])
    assert value(f"{name}_total", outcome="ok") == 0
    assert value(f"{name}_total", outcome="bad") is None
    count.add("ok")
    count.add("ok")
    count.add("bad", by=5)
    for _ in range(2):
        count.flush()
        assert value(f"{name}_total", outcome="ok") == 2
        assert value(f"{name}_total", outcome="bad") == 5


def test_a_count_without_labels_is_there_from_the_start() -> None:
    name = fresh()
    count = Count(name, "says")
    assert value(f"{name}_total") == 0
    count.add()
    count.flush()
    assert value(f"{name}_total") == 1


def test_timings() -> None:
    name = fresh()
    timing = Timing(name, "says", ["what"])
    timing.observe(0.003, "a")
    timing.observe(0.005, "a")
    timing.of("a").observe(99.0)
    with timing.timed("b"):
        pass
    for _ in range(2):
        timing.flush()
        assert value(f"{name}_count", what="a") == 3
        assert value(f"{name}_sum", what="a") == pytest.approx(99.008)
        assert value(f"{name}_bucket", what="a", le="0.0025") == 0
        assert value(f"{name}_bucket", what="a", le="0.005") == 2
        assert value(f"{name}_bucket", what="a", le="10.0") == 2
        assert value(f"{name}_bucket", what="a", le="+Inf") == 3
        assert value(f"{name}_count", what="b") == 1


def test_what_fails_takes_its_time_too() -> None:
    name = fresh()
    timing = Timing(name, "says", ["what"])
    with pytest.raises(ValueError, match="no"), timing.timed("a"):
        raise ValueError("no")
    timing.flush()
    assert value(f"{name}_count", what="a") == 1


def test_sizes() -> None:
    name = fresh()
    sizes = Sizes(name, "says", bounds=(1, 2, 4))
    for size in (1, 1, 2, 3, 4):
        sizes.counts[size] += 1
    for _ in range(2):
        sizes.flush()
        assert value(f"{name}_count") == 5
        assert value(f"{name}_sum") == 11
        assert value(f"{name}_bucket", le="1.0") == 2
        assert value(f"{name}_bucket", le="2.0") == 3
        assert value(f"{name}_bucket", le="4.0") == 5


def test_the_short_way_counts_as_a_request_and_as_a_check() -> None:
    def counted() -> tuple[float, float, float]:
        flush_all()
        route = {"route": "/verify", "method": "read"}
        return (
            value("minigate_session_checks_total", outcome="ok") or 0,
            value("minigate_requests_total", **route, outcome="2xx") or 0,
            value("minigate_request_duration_seconds_count", **route) or 0,
        )

    before = counted()
    series.requests.short_way.observe(0.001)
    series.requests.short_way.observe(0.002)
    series.requests.answered("/verify", "read", "2xx", 0.1)
    series.requests.answered("/verify", "read", "session_expired", 0.1)
    after = counted()
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 3, 4]
