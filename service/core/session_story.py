"""What became of the sessions of one handle, as its events tell it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from service.core.why_texts import NOTHING, PLACE, REASON, SAID, SCOPE, SOMEBODY, UNTIL, Sentence

if TYPE_CHECKING:
    from datetime import tzinfo

    from service.core.events import Event
    from service.core.lifetime import Lifetime
    from service.core.models import SessionView

_CLOCKS_MS: Final = 5000
"""By which the clocks of servers may differ."""
_BEFORE: Final = re.compile(r"before=(\d{1,14})", re.ASCII)
_TOLD: Final = frozenset({"ended_by_operator", "not_served", "user_gone"})
"""Reasons of `expired` that say it all."""


class SessionEnd(NamedTuple):
    """One session's end, or what sent its holder to log in again."""

    at: int
    """Unix milliseconds, as near as it is known."""
    handle: str
    cause: str
    """A word of `why_texts.SAID`."""
    said: Sentence


@dataclass(slots=True)
class SessionStory:
    """What became of the sessions of one handle, event by event."""

    handle: str
    lifetime: Lifetime
    zone: tzinfo
    ban_end: tuple[int, int] | None
    """When the ban that holds was made, and until when it does; both Unix milliseconds."""
    ends: list[SessionEnd] = field(default_factory=list)
    appid: str = ""
    device: str = ""
    begun: int = 0
    """When the session that is open was opened or renewed last; 0: none is known to be open."""
    opened: int = 0
    missed: Event | None = None
    """A holder was told that the session had expired, before it was due. Perhaps another one."""

    def hear(self, event: Event) -> None:
        """Take in the next event."""
        if event.handle == self.handle:
            self.appid, self.device = event.appid or self.appid, event.device or self.device
        match event.event:
            case "login":
                self._close_unseen(event.at)
                self.opened = self.begun = event.at
            case "renewed":
                self._go_on(event.at, event.at)
            case "shared":
                self._go_on(event.at, self.begun or event.at)
            case "expired":
                self._hear_expired(event)
            case "sessions_ended":
                self._hear_sessions_ended(event)
            case "replaced":
                lost = event.reason == "key_lost"
                self._end(event.at, "replaced_key_lost" if lost else "replaced", event)
            case "logout":
                self._end(event.at, "logout", event)
            case "kicked" | "banned" | "account_deleted":
                self._hear_of_user(event)

    def _go_on(self, at: int, begun: int) -> None:
        """It lives at that time."""
        self.opened, self.begun, self.missed = self.opened or at, begun, None

    def finish(self, view: SessionView | None, now: int) -> None:
        """Compare with what is there now."""
        if view is None:
            self._close_unseen(now)
        elif view.state != "live" and all(one.cause != view.state for one in self.ends):
            self._end(self.begun or view.issued_at, view.state, None)

    def _close_unseen(self, at: int) -> None:
        """End what was open, and is not there any more though nothing has said so."""
        if self.begun:
            due = self._due
            if at >= due - _CLOCKS_MS:
                self._end(min(due, at), "expired", None)
            else:
                self._end(self.missed.at if self.missed else at, "lost", self.missed)

    @property
    def _due(self) -> int:
        """When it ends of itself."""
        longest = self.opened + self.lifetime.max_age_ms
        return min(self.begun + self.lifetime.ttl_ms, longest)

    def _hear_expired(self, event: Event) -> None:
        if event.reason == "key_lost":
            self._say(event.at, "key_lost", event)  # the session itself goes on
        elif event.reason in _TOLD:
            if self.begun or not self.ends:  # else it has been said what ended it
                self._end(event.at, event.reason, event)
        elif event.reason == "age":
            self._end(event.at, "too_old", event)
        elif self.begun and event.at < self._due - _CLOCKS_MS:
            self.missed = self.missed or event
        elif self.begun:
            self._close_unseen(event.at)
        elif not self.ends:
            self._end(event.at, "expired_earlier", event)

    def _hear_sessions_ended(self, event: Event) -> None:
        before = _BEFORE.fullmatch(event.reason)
        until = int(before[1]) if before else event.at
        of_this = event.appid in {"", self.appid} and event.device in {"", self.device}
        if self.begun and of_this and self.opened < until:
            self._end(event.at, "sessions_ended", event)

    def _hear_of_user(self, event: Event) -> None:
        if event.handle != self.handle and not self.begun:
            return  # of the user, who had no session here
        by_operator = event.event == "account_deleted" and event.by
        self._end(event.at, "account_deleted_by" if by_operator else event.event, event)

    def _end(self, at: int, cause: str, event: Event | None) -> None:
        self._say(at, cause, event)
        self.opened = self.begun = 0
        self.missed = None

    def _say(self, at: int, cause: str, event: Event | None) -> None:
        names = {
            "begun": self._time(self.begun),
            "due": self._time(self._due),
            "ttl": _plain(str(self.lifetime.ttl_ms // 1000)),
            "device": _plain(self.device or "?"),
            "by": SOMEBODY,
            "place": NOTHING,
            "reason": NOTHING,
            "until": NOTHING,
            "scope": NOTHING,
            "before": self._time(at),
        }
        if event is not None:
            names |= self._names_of(event)
        self.ends.append(SessionEnd(at, self.handle, cause, SAID[cause].about(names)))

    def _names_of(self, event: Event) -> dict[str, Sentence]:
        names: dict[str, Sentence] = {}
        if event.by:
            names["by"] = _plain(event.by)
        if event.address:
            names["place"] = PLACE.about({"address": _plain(event.address)})
        if event.event == "banned":
            if event.reason:
                names["reason"] = REASON.about({"reason": _plain(event.reason)})
            if self.ban_end and self.ban_end[0] == event.at:
                names["until"] = UNTIL.about({"time": self._time(self.ban_end[1])})
        if event.event == "sessions_ended":
            what = " ".join(filter(None, (event.appid, event.device)))
            names["scope"] = SCOPE.about({"what": _plain(what)}) if what else NOTHING
            if before := _BEFORE.fullmatch(event.reason):
                names["before"] = self._time(int(before[1]))
        return names

    def _time(self, milliseconds: int) -> Sentence:
        """To the second, with the zone that it is in."""
        at = datetime.fromtimestamp(milliseconds / 1000, self.zone)
        return _plain(at.isoformat(" ", "seconds"))


def _plain(text: str) -> Sentence:
    """What is the same in both languages."""
    return Sentence(text, text)
