"""Times as people write them at a terminal, and as they read them there."""

from __future__ import annotations

import re
import time
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Final

_SPAN: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_UNIX: Final = re.compile(r"\d{9,11}", re.ASCII)
_LATEST_HOUR: Final = 23
_LATEST_MINUTE: Final = 59
FORMS: Final = "10:03, 2026-11-27T10:03, 2h, 1764237780"


def past(text: str) -> int:
    """Unix milliseconds of a time of the past.

    `10:03` is the last time that it was so here; `2h` (s, m, h, d) that long ago;
    else ISO 8601, in this machine's time zone unless it names one, or Unix
    seconds. Raises ArgumentTypeError for anything else.
    """
    now = datetime.now().astimezone()
    if ago := _SPAN.fullmatch(text):
        return _milliseconds(now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]]))
    if clock := _CLOCK.fullmatch(text):
        hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
        if hour > _LATEST_HOUR or max(minute, second) > _LATEST_MINUTE:
            raise ArgumentTypeError(FORMS)
        # Without its zone: across a change of the clocks the day before has another one.
        local = now.replace(tzinfo=None)
        at = local.replace(hour=hour, minute=minute, second=second, microsecond=0)
        return _milliseconds((at if at <= local else at - timedelta(days=1)).astimezone())
    return _fixed(text)


def future(text: str) -> int:
    """Unix seconds of a time to come: `2h` is in two hours; no `10:03`, the rest as in `past`."""
    if ahead := _SPAN.fullmatch(text):
        return int(time.time()) + int(ahead[1]) * _SECONDS[ahead[2]]
    at = _fixed(text) // 1000
    if at <= time.time():
        raise ArgumentTypeError(FORMS)
    return at


def shown(milliseconds: int) -> str:
    """A time of this machine's zone, to the second."""
    at = datetime.fromtimestamp(milliseconds / 1000, tz=UTC).astimezone()
    return at.isoformat(" ", "seconds")


def _fixed(text: str) -> int:
    if _UNIX.fullmatch(text):
        return int(text) * 1000
    try:
        return _milliseconds(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError, OSError):
        raise ArgumentTypeError(FORMS) from None


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
