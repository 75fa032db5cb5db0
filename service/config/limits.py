"""How often something may be done, in the notation of the `limits` package."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

from pydantic import PlainValidator

OFF: Final = "off"
"""Instead of a limit: there is none."""
_MOST: Final = 10**9
_LONGEST_SECONDS: Final = 366 * 86400
_UNITS: Final = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


class Limit(NamedTuple):
    """So many within so many seconds."""

    amount: int
    seconds: int


def parse_limit(text: str) -> Limit | None:
    """Read "600/minute", "10 per day" or "30/2 hours"; None for "off". Raises ValueError."""
    from limits import parse  # noqa: PLC0415 # 2 MB that no worker needs: it is handed Limits

    if text.lower() == OFF:
        return None
    fault = f'write it as in "600/minute", or {OFF}'
    if not text.isascii() or any(mark in text for mark in ",;|"):  # several are for parse_many
        raise ValueError(fault)
    try:
        item = parse(text)
    except ValueError:
        raise ValueError(fault) from None  # the package's own text has the value
    limit = Limit(item.amount, item.get_expiry())
    if not 1 <= limit.amount <= _MOST or not 1 <= limit.seconds <= _LONGEST_SECONDS:
        raise ValueError(f"at least 1, at most {_MOST} within a year; {OFF} takes the limit away")
    return limit


def write_limit(limit: Limit) -> str:
    """As `parse_limit` reads it."""
    unit = _UNITS.get(limit.seconds)
    return f"{limit.amount}/{unit}" if unit else f"{limit.amount}/{limit.seconds} seconds"


LimitSetting = Annotated[Limit | None, PlainValidator(parse_limit)]
"""A setting that `parse_limit` reads."""
