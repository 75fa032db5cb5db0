"""What an operator may say of a ban."""

from __future__ import annotations

import time
from typing import Final

# And not `re`: it knows the properties of characters (docs/adr/0019).
import regex

from service.core.errors import InvalidRequest
from service.core.models import LONGEST_REASON

_UNSEEN: Final = regex.compile(r"\p{C}")
"""Control and format characters, by which one line could pass for two, or for another."""
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999; milliseconds are more."""


def clean_reason(text: str) -> str:
    """The reason in one line of LONGEST_REASON characters at most; the rest is cut off."""
    return _UNSEEN.sub("", " ".join(text.split()))[:LONGEST_REASON]


def check_until(until: int | None) -> None:
    """Raise InvalidRequest for a Unix time that is no end of a ban."""
    if until is None:
        return
    if until <= time.time():
        raise InvalidRequest("until", "in the past")
    if until > _LATEST:
        raise InvalidRequest("until", "Unix seconds, not milliseconds")
