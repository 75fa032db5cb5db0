"""Says that something fails, and why, but not thousands of times a second.

For what comes and goes: busy places, refusals, odd records. What is away has an Outage.
"""

from __future__ import annotations

import logging
import time
from typing import Final

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS: Final = 5.0


class ThrottledLog:
    """One for each thing that can fail, so that lines about one hide none about another."""

    def __init__(self, subject: str) -> None:
        """`subject`: what the log calls it."""
        self._subject = subject
        self._quiet_until = 0.0

    def failed(self, what: str, why: str) -> None:
        """Log, unless it did so in the last five seconds. `why` must hold no secret."""
        self.say(logging.ERROR, f"{what} failed: {why}")

    def warn(self, what: str, why: str) -> None:
        """The same for what is no failure of ours."""
        self.say(logging.WARNING, f"{what}: {why}")

    def say(self, level: int, text: str, **fields: str | int) -> None:
        """The same in other words, at any level; `fields` are those of the line."""
        if self._is_due():
            log.log(level, "%s: %s", self._subject, text, extra=fields)

    def _is_due(self) -> bool:
        now = time.monotonic()
        due = now >= self._quiet_until
        if due:
            self._quiet_until = now + _LOG_EVERY_SECONDS
        return due
