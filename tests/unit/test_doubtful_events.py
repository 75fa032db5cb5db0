"""Of what anybody can make up, no more is told than of what is beyond doubt."""

from __future__ import annotations

import asyncio
import logging
import time
from contextvars import copy_context
from typing import Final

import pytest

from service.core.request_info import current_request, current_request_id
from service.stores import doubtful_events
from service.stores.doubtful_events import DoubtfulEvents

IN_ADVANCE: Final = 60


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def told(doubtful: DoubtfulEvents, count: int = 1000) -> int:
    """How many of so many are, each of a handle of its own."""
    return sum(doubtful.may_tell("expired", "") for _ in range(count))


async def test_some_are_told_in_advance_and_then_as_many_as_others(clock: Clock) -> None:
    doubtful = DoubtfulEvents()
    assert told(doubtful) == IN_ADVANCE
    for _ in range(7):
        doubtful.note_certain()
    assert told(doubtful) == 7
    clock.now += 180
    assert told(doubtful) == 3, "one a minute"
    for _ in range(1000):
        doubtful.note_certain()
    clock.now += 1e6
    assert told(doubtful) == IN_ADVANCE, "it is not saved up"


async def test_on_an_ordinary_day_all_are_told(clock: Clock) -> None:
    doubtful = DoubtfulEvents()
    for number in range(1000):
        clock.now += 0.01
        assert doubtful.may_tell("expired", f"h{number}")
        doubtful.note_certain()  # the login that follows


async def test_one_of_a_handle_is_told_in_five_minutes(clock: Clock) -> None:
    doubtful = DoubtfulEvents()
    assert [doubtful.may_tell("expired", "h") for _ in range(3)] == [True, False, False]
    assert doubtful.may_tell("login_refused", "h"), "another event"
    assert doubtful.may_tell("expired", "other")
    clock.now += 299
    assert not doubtful.may_tell("expired", "h")
    clock.now += 2
    assert doubtful.may_tell("expired", "h")


async def test_of_how_many_handles_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubtful_events, "_MOST_HANDLES", 10)
    doubtful = DoubtfulEvents()
    for number in range(1000):
        doubtful.may_tell("expired", f"h{number}")
        doubtful.note_certain()
    assert len(doubtful._told) == 10


async def test_the_rest_is_counted_in_one_line_of_no_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doubtful_events, "_SAY_SECONDS", 0.05)
    caplog.set_level(logging.INFO)
    ids: list[str] = []

    def look(_: logging.LogRecord) -> bool:
        ids.append(current_request_id())
        return True

    caplog.handler.addFilter(look)
    doubtful = DoubtfulEvents()

    class Request:
        request_id = "of somebody"
        client_address = None

    def made_up() -> None:
        current_request.set(Request())
        told(doubtful, IN_ADVANCE + 5)
        for _ in range(3):
            doubtful.may_tell("login_refused", "")

    copy_context().run(made_up)
    async with asyncio.timeout(5):
        while not caplog.messages:
            await asyncio.sleep(0.01)
    assert caplog.messages == ["not told one by one, within 0 s: expired 5, login_refused 3"]
    assert ids == [""]
