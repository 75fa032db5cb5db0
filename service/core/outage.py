"""Says that something is away: when that begins, once a minute while it lasts, and when it is over.

Whoever fails over it tells, and whoever finds that it works: a request, a probe, a look of
the worker's own. What is away fails thousands of times a second, and each of them would be a line.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

REMIND_SECONDS = 60.0
"""Between two lines while it lasts. One that begins again within this time never was over."""
SETTLED_SECONDS = 1.0
"""Without a failure, after which a success ends it: of a cluster, one half may be away."""
_KEPT: Final = 50


class OutageRecord(NamedTuple):
    """An outage as operators are told of it."""

    what: str
    """What is away: redis, sql, avatars, or a part of WeChat's."""
    where: str
    """Its address, without credentials; "" where there is none to tell."""
    since: int
    """Unix milliseconds."""
    until: int | None
    """The same; None while it lasts."""
    why: str
    """What failed, and why, at the last time; no secret."""
    failures: int
    """How many were noticed."""


class Outages:
    """Those of one worker: what is away now, and what was."""

    def __init__(self) -> None:
        self._lasting: dict[Outage, None] = {}
        self._over: deque[OutageRecord] = deque(maxlen=_KEPT)

    def of(self, what: str, where: str = "", *, level: int = logging.ERROR) -> Outage:
        """What to tell of the failures of one thing; parameters as Outage has them."""
        return Outage(what, where, level=level, outages=self)

    @property
    def any_last(self) -> bool:
        """Whether anything is away."""
        return bool(self._lasting)

    def recent(self) -> Sequence[OutageRecord]:
        """The last 50, the newest first; those that last are all among them."""
        lasting = [one.record() for one in self._lasting]
        over = list(self._over)[len(lasting) :] if len(lasting) < _KEPT else []
        return sorted((*over, *lasting), key=lambda one: one.since, reverse=True)

    def remind(self) -> None:
        """Say which last, where that is due, and end what has worked for a while."""
        for one in tuple(self._lasting):
            one.remind()

    def begin(self, outage: Outage) -> None:
        """Take it for one that lasts."""
        self._lasting[outage] = None

    def end(self, outage: Outage) -> None:
        """Take it for one that is over."""
        self._lasting.pop(outage, None)
        self._over.append(outage.record())


class Outage:
    """That of one thing: one object for each, so that lines about one hide none about another."""

    def __init__(
        self,
        what: str,
        where: str = "",
        *,
        level: int = logging.ERROR,
        outages: Outages | None = None,
    ) -> None:
        """`what`: the name of the thing. `where`: its address, without credentials.

        `level`: of the lines while it lasts; that it is over is a warning.
        """
        self.what = what
        self.where = where
        self.lasts = False
        """Whether it is away, as far as is known."""
        self._level = level
        self._outages = outages or Outages()
        self._why = ""
        self._fields: dict[str, str | int] = {}
        self._failures = 0
        self._since_ms = 0
        self._until_ms: int | None = None
        self._began = -math.inf
        self._failed_at = -math.inf
        self._worked_at: float | None = None
        """When it was first found to work since it last failed."""
        self._said_at = -math.inf
        self._ended_at = -math.inf
        self._came_back = False

    def failed(self, what: str, why: str, **fields: str | int) -> None:
        """Hear that `what` was tried in vain, and `why`; `fields` are those of the log line.

        None of it may be a secret.
        """
        now = time.monotonic()
        self._why = f"{what} failed: {why}"
        self._fields = fields
        if not self.lasts:
            self._begin(now)
        self._failures += 1
        self._failed_at = now
        self._worked_at = None
        self._say_if_due(now)

    def works(self) -> None:
        """Hear that it does; cheap where nothing else was known."""
        if not self.lasts:
            return
        now = time.monotonic()
        if self._worked_at is None:
            self._worked_at = now
            self._until_ms = _now_ms()
        self._end_if_settled(now)

    def remind(self) -> None:
        """Say that it lasts, where that is due, or end it if it has worked for a while."""
        now = time.monotonic()
        self._end_if_settled(now)
        if self.lasts:
            self._say_if_due(now)

    def record(self) -> OutageRecord:
        """The outage of the moment, or the last one."""
        until = None if self.lasts else self._until_ms
        return OutageRecord(self.what, self.where, self._since_ms, until, self._why, self._failures)

    def _begin(self, now: float) -> None:
        self._came_back = now - self._ended_at < REMIND_SECONDS
        self.lasts = True
        self._failures = 0
        self._since_ms = _now_ms()
        self._until_ms = None
        self._began = self._said_at = now
        self._outages.begin(self)
        begins = "comes back" if self._came_back else "begins"
        self._say(self._level, f"outage {begins}: {self._why}", **self._fields)

    def _end_if_settled(self, now: float) -> None:
        # What comes and goes would fill the log: when it is back, a minute decides.
        quiet = REMIND_SECONDS if self._came_back else SETTLED_SECONDS
        if not self.lasts or self._worked_at is None or now - self._failed_at < quiet:
            return
        self.lasts = False
        self._ended_at = now
        self._outages.end(self)
        self._say(logging.WARNING, "outage is over", **self._figures(self._worked_at))

    def _say_if_due(self, now: float) -> None:
        if now - self._said_at >= REMIND_SECONDS:
            self._said_at = now
            fields = {**self._fields, **self._figures(now)}
            self._say(self._level, f"outage goes on: {self._why}", **fields)

    def _figures(self, until: float) -> dict[str, float | int]:
        return {"seconds": round(until - self._began, 1), "failures": self._failures}

    def _say(self, level: int, text: str, **fields: str | float) -> None:
        where = {"where": self.where} if self.where else {}
        log.log(level, "%s: %s", self.what, text, extra={**where, **fields})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
