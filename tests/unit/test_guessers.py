"""Who may be making codes up."""

from __future__ import annotations

import pytest

from service.core import guessers
from service.core.guessers import REMEMBERED_SECONDS, Guessers
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(guessers, "time", clock)
    return clock


def test_a_wrong_code_is_remembered_for_a_minute_from_the_last_one_on(clock: Clock) -> None:
    known = Guessers()
    assert not known.may_guess("a")
    known.note("a")
    clock.now += REMEMBERED_SECONDS - 1
    known.note("a")
    clock.now += REMEMBERED_SECONDS - 1
    assert known.may_guess("a")
    assert not known.may_guess("b")
    clock.now += 1
    assert not known.may_guess("a")


@pytest.mark.usefixtures("clock")
def test_so_may_whoever_has_a_code_under_way() -> None:
    known = Guessers()
    with known.asking("a"):
        with known.asking("a"):
            assert known.may_guess("a")
            assert not known.may_guess("b")
        assert known.may_guess("a")
    assert not known.may_guess("a")
    assert not known._asking


def test_what_is_remembered_is_bounded_and_goes_by_itself(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guessers, "_MOST", 10)
    known = Guessers()
    for number in range(100):
        known.note(f"{number}")
    assert list(known._failed_at) == [f"{number}" for number in range(90, 100)]
    clock.now += REMEMBERED_SECONDS
    for number in range(10):
        known.note(f"again{number}")
    assert list(known._failed_at) == [f"again{number}" for number in range(10)]
