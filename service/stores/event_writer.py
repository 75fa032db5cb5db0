"""Brings events to Redis in batches, while nobody waits."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core.errors import SessionStoreUnavailable
from service.metrics.series import events_dropped
from service.redis.errors import code_word
from service.redis.scripts import Script
from service.stores import event_record

if TYPE_CHECKING:
    from service.core.events import Event
    from service.redis.scripts import Scripts
    from service.stores.live_slots import LiveSlots

log = logging.getLogger(__name__)

KIND: Final = "events"

_LUA: Final = Path(__file__).with_name("lua")
_APPEND = Script(_LUA / "append.lua", fenced=False)
_LIVE = Script(_LUA / "live.lua", fenced=False)
_PAUSE_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 1.0
"""After a failure."""
_FORBIDDEN_SECONDS: Final = 60.0
"""After one that only an operator can mend: its user may not write a stream, as before this."""
_LAST_SECONDS: Final = 1.0
"""For what is left at the end."""
_BATCH: Final = 64
"""Redis serves nobody else for 0.2 ms."""
_MOST_WAITING: Final = 10_000
"""About 5 MB. Over that the oldest go."""
_BEGINS: Final = frozenset({"login", "renewed"})
"""After these a session lives for SESSION_TTL."""


class EventWriter:
    """A queue, and the task that empties it four times a second."""

    def __init__(self, scripts: Scripts, slots: LiveSlots, *, kept: int) -> None:
        """`kept`: how many events stay in Redis; 0: none is written."""
        self._scripts = scripts
        self._slots = slots
        self._kept = kept
        self._key = scripts.prefix + KIND
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, on the running event loop."""
        # With no request's context: what it logs is of none.
        self._task = asyncio.create_task(self._run(), context=Context())

    def add(self, event: Event) -> None:
        """Have it written a moment later."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self._lose(1)
        self._waiting.append(event)
        self._wanted.set()

    async def flush(self) -> None:
        """Write all that waits. Raises SessionStoreUnavailable; the rest waits on."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                await self._count_live(batch)
                await self._append(batch)
            except (SessionStoreUnavailable, asyncio.CancelledError):
                self._put_back(batch)
                raise
        if self._lost:
            log.warning("events: %d were lost while Redis did not take them", self._lost)
            self._lost = 0

    async def aclose(self) -> None:
        """Write what is left, within a second."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(SessionStoreUnavailable, TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self.flush()
        if lost := len(self._waiting) + self._lost:
            log.warning("events: %d are lost, Redis did not take them", lost)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_PAUSE_SECONDS)
            self._wanted.clear()
            try:
                await self.flush()
            except SessionStoreUnavailable as fault:
                self._wanted.set()
                forbidden = code_word(fault.__cause__) == "NOPERM"
                await asyncio.sleep(_FORBIDDEN_SECONDS if forbidden else _AGAIN_SECONDS)
            except Exception:  # a bug, which may be of one event: the next ones are written
                log.exception("events: writing failed unexpectedly")

    async def _append(self, batch: list[Event]) -> None:
        if self._kept:
            texts = [event_record.write(one) for one in batch]
            await self._scripts.run_idempotent(_APPEND, self._key, self._kept, *texts)

    async def _count_live(self, batch: list[Event]) -> None:
        """Note the sessions that live from now on."""
        handles: defaultdict[str, set[str]] = defaultdict(set)
        for one in batch:
            if one.event in _BEGINS:
                slot = self._slots.at(one.at)
                handles[self._slots.key(one.appid, one.device, slot)].add(one.handle)
        for key, some in handles.items():
            await self._scripts.run_idempotent(_LIVE, key, self._slots.life_ms, *some)

    def _put_back(self, batch: list[Event]) -> None:
        room = max(_MOST_WAITING - len(self._waiting), 0)
        self._lose(max(len(batch) - room, 0))
        self._waiting.extendleft(reversed(batch[-room:] if room else []))

    def _lose(self, count: int) -> None:
        self._lost += count
        events_dropped.add(by=count)
