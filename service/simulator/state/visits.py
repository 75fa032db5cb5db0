"""Who opened which mini-program, and when last."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPENID = re.compile(r"o[-_0-9A-Za-z]{27}")


class Visit(NamedTuple):
    """The last time a user was seen in an app."""

    appid: str
    user: str
    at: float


class Visits:
    """The last visit of each user to each app, found by openid."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}

    def record(self, openid: str, visit: Visit) -> None:
        """Remember that the user is there now."""
        self._visits[openid] = visit

    def last(self, openid: str) -> Visit | None:
        """Return the last visit of whoever has that openid."""
        return self._visits.get(openid)


def is_openid(value: object) -> bool:
    """Whether a value has the form of an openid."""
    return isinstance(value, str) and _OPENID.fullmatch(value) is not None
