"""Events that anybody can bring about: how many of them are told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from contextvars import Context
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.core.events import EventName

log = logging.getLogger(__name__)

_MOST_CREDIT: Final = 60
_CREDIT_SECONDS: Final = 60.0
"""In which one more may be told, however little else happens."""
_SAME_SECONDS: Final = 300.0
"""In which one of a handle is not told again."""
_MOST_HANDLES: Final = 4096
_SAY_SECONDS: Final = 60.0


class DoubtfulEvents:
    """Lets one be told for each event that is beyond doubt, one a minute, and some in advance.

    So made-up ids and codes can never be more than half of what is kept, or of the
    lines in the log, however many come and however many workers there are.
    """

    def __init__(self) -> None:
        self._credit: float = _MOST_CREDIT
        self._counted = time.monotonic()
        self._told: OrderedDict[tuple[EventName, str], float] = OrderedDict()
        self._untold: Counter[EventName] = Counter()

    def note_certain(self) -> None:
        """Hear of an event that is beyond doubt."""
        if self._credit < _MOST_CREDIT:
            self._credit += 1

    def may_tell(self, event: EventName, handle: str) -> bool:
        """Whether to tell one more; the others are counted, and said to be so in a minute."""
        now = time.monotonic()
        earned = (now - self._counted) / _CREDIT_SECONDS
        self._credit, self._counted = min(self._credit + earned, _MOST_CREDIT), now
        if self._credit < 1 or self._is_again(event, handle, now):
            if not self._untold:
                # With no request's context: the line is of none.
                loop = asyncio.get_running_loop()
                loop.call_later(_SAY_SECONDS, self._say, context=Context())
            self._untold[event] += 1
            return False
        self._credit -= 1
        return True

    def _is_again(self, event: EventName, handle: str, now: float) -> bool:
        """Whether the same was told of the handle a moment ago; else it counts as told."""
        if not handle:
            return False
        key = event, handle
        if now - self._told.get(key, -_SAME_SECONDS) < _SAME_SECONDS:
            return True
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _MOST_HANDLES:
            self._told.popitem(last=False)
        return False

    def _say(self) -> None:
        counts = ", ".join(f"{event} {count}" for event, count in self._untold.items())
        self._untold.clear()
        log.info("not told one by one, within %.0f s: %s", _SAY_SECONDS, counts)
