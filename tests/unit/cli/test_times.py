"""Times as people write them."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from service.cli import times


@pytest.fixture(autouse=True)
def in_china(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()


@pytest.fixture(autouse=True, scope="module")
def and_back() -> object:
    yield
    time.tzset()


def test_a_time_of_the_day_is_the_last_one_of_this_place() -> None:
    now = time.time()
    local = datetime.fromtimestamp(now, tz=UTC) + timedelta(hours=8)
    for minutes in (-1, 1):  # a minute ago, and in one: which was yesterday
        at = local + timedelta(minutes=minutes)
        found = times.past(f"{at:%H:%M}") / 1000
        assert now - 86400 - 60 <= found <= now
        assert (
            f"{datetime.fromtimestamp(found, tz=UTC) + timedelta(hours=8):%H:%M}" == f"{at:%H:%M}"
        )


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1764237780", 1764237780000),
        ("2025-11-27T10:03:00Z", 1764237780000),
        ("2025-11-27T18:03", 1764237780000),
        ("2025-11-27 18:03:00", 1764237780000),
        ("2025-11-27", 1764172800000),
    ],
)
def test_a_date_is_of_this_place_unless_it_says_otherwise(text: str, milliseconds: int) -> None:
    assert times.past(text) == milliseconds


def test_a_span_is_back_from_now_or_ahead() -> None:
    for text, seconds in (("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604800)):
        assert abs(times.past(text) / 1000 - time.time() + seconds) < 30
        assert abs(times.future(text) - time.time() - seconds) < 30


@pytest.mark.parametrize(
    "text", ["", "now", "25:00", "10:60", "1:2", "-5m", "99999999999999", "٢h"]
)
def test_the_rest_is_no_time(text: str) -> None:
    for read in (times.past, times.future):
        with pytest.raises(ArgumentTypeError):
            read(text)


def test_what_is_over_is_no_future() -> None:
    for text in ("2025-11-27", "1764237780", "10:03"):
        with pytest.raises(ArgumentTypeError):
            times.future(text)


def test_a_time_is_shown_with_its_zone() -> None:
    assert times.shown(1764237780999) == "2025-11-27 18:03:00+08:00"
