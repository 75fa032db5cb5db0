"""The one JSON text in Redis by which sessions are ended all at once: how it is written and read.

epoch  random; another one, or none, where Redis has lost what it held
at     milliseconds since the epoch, clock of Redis: when a worker wrote it last. It goes back
       where Redis does, to an old snapshot
ended  [appid, device class, since] of each mark, "" for all of them: sessions of logins before
       `since`, milliseconds by the same clock, have ended
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import orjson

if TYPE_CHECKING:
    from service.stores.sessions_since import Marks

_LONGEST_LIFE_MS: Final = 366 * 86_400_000
"""Of any session, as the settings allow it: an older mark ends nothing any more."""
_AHEAD_MS: Final = 3_600_000
"""By which no mark is in the future, whatever servers' clocks do: it would be nobody's login."""


@dataclass(frozen=True, slots=True)
class MarksRecord:
    """A record as read, or to be written."""

    epoch: str
    at: int
    ended: Marks

    @classmethod
    def new(cls) -> Self:
        """For a Redis that has none."""
        return cls(secrets.token_hex(8), 0, {})

    @classmethod
    def read(cls, raw: bytes | None) -> Self | None:
        """None for what is not there, or is no record."""
        try:
            fields = orjson.loads(raw or b"")
            ended = {(app, device): since for app, device, since in fields["ended"]}
            epoch, at = fields["epoch"], fields["at"]
        except (ValueError, TypeError, KeyError):
            return None
        is_right = (
            type(epoch) is str
            and type(at) is int
            and all(type(app) is type(dev) is str for app, dev in ended)
            and all(type(since) is int for since in ended.values())
        )
        return cls(epoch, at, ended) if is_right else None

    def write(self) -> bytes:
        """The text."""
        marks = sorted((*key, since) for key, since in self.ended.items())
        return orjson.dumps({"epoch": self.epoch, "at": self.at, "ended": marks})

    def holds(self, marks: Marks) -> bool:
        """Whether these are in it, or later ones in their place."""
        return all(self.ended.get(key, 0) >= since for key, since in marks.items())

    def merged(self, marks: Marks, *, now_ms: int) -> Self:
        """With these marks too, written at `now_ms`."""
        return replace(self, at=now_ms, ended=of_use(merge(self.ended, marks), now_ms=now_ms))


def merge(one: Marks, other: Marks) -> Marks:
    """Of two marks for the same sessions, the later one."""
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in (*one, *other)}


def of_use(marks: Marks, *, now_ms: int) -> Marks:
    """Without those that end nothing any more, and those that would end what is yet to come."""
    earliest, last = now_ms - _LONGEST_LIFE_MS, now_ms + _AHEAD_MS
    return {key: since for key, since in marks.items() if earliest <= since <= last}
