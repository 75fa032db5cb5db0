"""A log call that is wrong itself: it ends nobody's work, is logged, and tells no secret."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from service.core.models import SessionId
from service.logs import Redact, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = SessionId.new("H" * 22)
PASSWORD = "a password that looks like nothing"


class Unprintable:
    """Neither text nor an error can be made of it."""

    def __str__(self) -> str:
        raise RuntimeError(f"no text for {PASSWORD}")

    __repr__ = __str__


class UnprintableError(Exception):
    __str__ = Unprintable.__str__
    __repr__ = Unprintable.__str__


class Log:
    """A logger of some library, and what a handler of ours makes of it."""

    def __init__(self) -> None:
        self.logger = logging.Logger("library")  # noqa: LOG001 # of its own, not the root's
        self._lines = io.StringIO()
        handler = logging.StreamHandler(self._lines)
        handler.addFilter(Redact())
        self.logger.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self._lines.getvalue().splitlines()


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[Log]:
    yield Log()
    assert capfd.readouterr().err == ""  # where logging itself complains, arguments and all


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("got %d", (SESSION.text,)),
        ("got", (PASSWORD,)),
        ("got %s %s", (PASSWORD,)),
        ("got %(one)s", ({"other": PASSWORD},)),
        ("got %s", (Unprintable(),)),
        ("got %q", (PASSWORD,)),
        ("got %", (PASSWORD,)),
    ],
)
def test_arguments_that_do_not_fit_are_left_out(
    log: Log, message: str, args: tuple[Any, ...]
) -> None:
    log.logger.error(message, *args)
    log.logger.error("the next one")
    assert log.lines == [f"{message} (with arguments that do not fit it)", "the next one"]


def test_a_message_of_its_own_is_redacted_all_the_same(log: Log) -> None:
    log.logger.error(f"session {SESSION.text} %d", "x")  # noqa: G004 # as others do
    assert SESSION.secret not in log.lines[0]
    assert log.lines[0].startswith(f"session {'H' * 22}.*** %d")


def test_a_message_that_has_no_text_is_told_by_its_kind(log: Log) -> None:
    log.logger.error(Unprintable())
    assert log.lines == ["Unprintable (without a text)"]


def test_an_error_that_has_no_text_is_told_by_its_kind_and_place(log: Log) -> None:
    try:
        raise UnprintableError
    except UnprintableError as error:
        log.logger.exception("failed")
        shown = describe(error)
    assert shown.startswith(
        "UnprintableError: UnprintableError (without a text) at test_log_calls.py:"
    )
    assert log.lines == ["failed", shown]


def test_a_call_without_an_error_under_way_passes(log: Log) -> None:
    assert sys.exc_info() == (None, None, None)
    log.logger.exception("failed")  # noqa: LOG004 # as others do
    assert log.lines[0] == "failed"
