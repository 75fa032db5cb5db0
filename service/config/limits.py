"""How often something may be done, in the notation of the `limits` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from limits import parse
from pydantic import AfterValidator

if TYPE_CHECKING:
    from limits import RateLimitItem

OFF: Final = "off"
"""Instead of a limit: there is none."""
_MOST: Final = 10**9
_LONGEST_SECONDS: Final = 366 * 86400


def parse_limit(text: str) -> RateLimitItem | None:
    """Read "600/minute", "10 per day" or "30/2 hours"; None for "off". Raises ValueError."""
    if text.lower() == OFF:
        return None
    fault = f'write it as in "600/minute", or {OFF}'
    if not text.isascii() or any(mark in text for mark in ",;|"):  # several are for parse_many
        raise ValueError(fault)
    try:
        item = parse(text)
    except ValueError:
        raise ValueError(fault) from None  # the package's own text has the value
    if not 1 <= item.amount <= _MOST or not 1 <= item.get_expiry() <= _LONGEST_SECONDS:
        raise ValueError(f"at least 1, at most {_MOST} within a year; {OFF} takes the limit away")
    return item


def _checked(text: str) -> str:
    parse_limit(text)
    return text


LimitText = Annotated[str, AfterValidator(_checked)]
"""A setting that `parse_limit` reads."""
