"""Notices, and says, that Redis has lost what it held: nothing else would, but users who log in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.stores.marks_record import MarksRecord

log = logging.getLogger(__name__)

_BACK_MS: Final = 150_000
"""The record's time is written anew each minute; a replica may lag a little more."""


class LostData:
    """Compares what a worker finds in the record of marks with what it found there before."""

    def __init__(self, remains: Callable[[], Awaitable[bool]]) -> None:
        """`remains`: whether any session is still there that was there a moment ago."""
        self._remains = remains
        self._epoch = ""
        self._at = 0

    async def see(self, found: MarksRecord | None) -> None:
        """Say once what has happened since the last time. Raises what `remains` does."""
        if self._epoch and (found is None or found.epoch != self._epoch):
            _say_gone(remains=await self._remains())
            self._epoch, self._at = "", 0
        if found is None:
            return
        if found.at < self._at - _BACK_MS:
            log.error(
                "redis: its data is %d s older than it was (an old snapshot, or a replica that had"
                " fallen behind): logins since then are lost, and sessions that were logged out or"
                " replaced since then may live again",
                (self._at - found.at) // 1000,
            )
        self._epoch, self._at = found.epoch, found.at

    def wrote(self, record: MarksRecord) -> None:
        """Know what this worker has put there itself; what is another's has to be seen first."""
        if self._epoch in ("", record.epoch):
            self._epoch, self._at = record.epoch, record.at


def _say_gone(*, remains: bool) -> None:
    if remains:
        log.error(
            "redis: sessions are still there, but a key without a time to live is gone: keys are"
            " evicted (maxmemory-policy should be noeviction or volatile-ttl), or somebody has"
            " deleted it; which sessions have been ended all at once is written there again"
        )
        return
    log.error(
        "redis: has lost what it held (FLUSHALL, eviction, a restart without persistence, another"
        " server): every session from before is gone, and users log in again silently"
    )
