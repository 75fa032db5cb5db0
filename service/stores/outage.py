"""Says that a store fails, and why, but not thousands of times a second."""

from __future__ import annotations

import logging
import time
from typing import Final

from redis.exceptions import ResponseError

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS: Final = 5.0


class OutageLog:
    """One per store."""

    def __init__(self, store: str) -> None:
        """`store`: what the log calls it."""
        self._store = store
        self._quiet_until = 0.0

    def failed(self, what: str, fault: BaseException) -> None:
        """Log the kind of `fault` and the code word of an error that Redis answered.

        The rest of its text could hold an address with a password.
        """
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _LOG_EVERY_SECONDS
            word = str(fault).partition(" ")[0] if isinstance(fault, ResponseError) else ""
            shown = f" {word}" if word.isupper() and word.isalpha() else ""
            log.error("%s: %s failed: %s%s", self._store, what, type(fault).__name__, shown)
