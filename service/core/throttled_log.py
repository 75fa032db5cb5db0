"""Says that something fails, and why, but not thousands of times a second."""

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
        if self._is_due():
            log.error("%s: %s failed: %s", self._subject, what, why)

    def warn(self, what: str, why: str) -> None:
        """The same for what is no failure of ours."""
        if self._is_due():
            log.warning("%s: %s: %s", self._subject, what, why)

    def _is_due(self) -> bool:
        now = time.monotonic()
        due = now >= self._quiet_until
        if due:
            self._quiet_until = now + _LOG_EVERY_SECONDS
        return due
