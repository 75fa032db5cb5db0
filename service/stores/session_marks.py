"""Ends all sessions of a mini-program, a device class or everybody, without looking for them.

A mark in Redis says since when logins count. Every worker looks at it each second, on no
check's way, and goes by what it knows (SessionsSince). A worker that has not seen it lately
lets no session through, so that the moment from which a mark holds can be told.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core.errors import InvalidRequest, SessionStoreUnavailable
from service.core.models import SessionsEnded
from service.core.throttled_log import ThrottledLog
from service.redis.errors import describe
from service.redis.scripts import Script
from service.stores.marks_record import MarksRecord, merge, of_use

if TYPE_CHECKING:
    from service.redis.client import RedisClient
    from service.redis.scripts import Scripts
    from service.stores.lost_data import LostData
    from service.stores.sessions_since import Marks, SessionsSince

_KIND: Final = "ended"
_EVERY_SECONDS: Final = 1.0
_JITTER: Final = 0.1
"""Of that: workers need not ask at the same moment."""
_LOOK_SECONDS: Final = 0.5
_PAUSES: Final = (0.05, 0.1, 0.25)
"""Seconds after a look that failed, one in a row after the other; then always the last."""
_GOOD_SECONDS: Final = 1.8
"""From when a look was asked for: the next one has that long to succeed."""
HOLDS_AFTER_MS: Final = 2000
"""From when a mark is written to when no worker goes without it: longer than a look is good."""
_BEAT_MS: Final = 60_000
"""How old the time in the record may get before somebody writes it anew."""
_MOST_TRIES: Final = 10

_random: Final = random.SystemRandom()  # the module's own is everybody's, in whatever thread
_SWAP = Script(Path(__file__).with_name("lua") / "swap.lua")


class RedisSessionMarks:
    """The SessionMarks port, and the looks of one worker."""

    def __init__(
        self, redis: RedisClient, scripts: Scripts, since: SessionsSince, lost: LostData
    ) -> None:
        """`since` is kept up to date; `lost` is told what was found."""
        self._redis = redis
        self._scripts = scripts
        self._since = since
        self._lost = lost
        self._key = redis.prefix + _KIND
        self._known: Marks = {}
        self._log = ThrottledLog("sessions")
        self._wanted = asyncio.Event()
        self._lapse: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Look for the first time, and keep looking; no session is let through before."""
        self._since.forget()
        succeeded = await self._look()
        # In no request's name, whoever starts it.
        self._task = asyncio.create_task(self._run(succeeded=succeeded), context=Context())

    async def aclose(self) -> None:
        """Stop looking."""
        self._closed = True
        if self._lapse is not None:
            self._lapse.cancel()
        if self._task is not None:
            self._task.cancel()  # which the driver may swallow: hence the flag
            await asyncio.gather(self._task, return_exceptions=True)

    async def end(self, appid: str, device: str, before: int | None) -> SessionsEnded:
        """As the port says; from the return on, in this worker they have ended."""
        now_ms, stands = await self._read_with_time()
        since = now_ms if before is None else before
        if since > now_ms:
            raise InvalidRequest("before", "a time that has come")
        written_ms = await self._write(stands, {(appid, device): since})
        return SessionsEnded(since, written_ms + HOLDS_AFTER_MS)

    async def _run(self, *, succeeded: bool) -> None:
        failures = 0 if succeeded else 1
        while not self._closed:
            pause = _EVERY_SECONDS * (1 - _JITTER * _random.random())
            if failures:
                pause = _PAUSES[min(failures, len(_PAUSES)) - 1]
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            self._wanted.clear()
            failures = 0 if await self._look() else failures + 1

    async def _look(self) -> bool:
        """See what Redis has, and put right what it lacks; returns whether it could be seen."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                raw = (await self._redis.read(self._key)).value
                now_ms = await self._scripts.now_ms(self._key)
            found = MarksRecord.read(raw)
            self._learn(found.ended if found else {}, asked=asked, now_ms=now_ms)
        except (SessionStoreUnavailable, TimeoutError):
            return False
        except Exception as bug:  # noqa: BLE001 # must not end the looks
            self._log.failed("looking for marks", describe(bug))
            return False
        await self._tend(raw or b"", found)
        return True

    async def _tend(self, raw: bytes, found: MarksRecord | None) -> None:
        """Say what Redis has lost, and write what it lacks; what fails the next look does."""
        try:
            await self._lost.see(found)
            await self._write(raw, {})
        except SessionStoreUnavailable:
            pass  # the log has it
        except Exception as bug:  # noqa: BLE001 # as above
            self._log.failed("writing marks", describe(bug))

    async def _write(self, stands: bytes, marks: Marks) -> int:
        """Put these into what stands in Redis, and whatever it lacks.

        Returns when it was there, milliseconds by the clock of Redis.
        """
        for _ in range(_MOST_TRIES):
            now_ms = await self._scripts.now_ms(self._key)
            record = MarksRecord.read(stands)
            if not marks and record and self._is_well(record, now_ms):
                return now_ms
            wanted = (record or MarksRecord.new()).merged(merge(self._known, marks), now_ms=now_ms)
            asked = time.monotonic()
            status, now_ms, stands = await self._run_swap(stands, wanted.write())
            if status == b"stored":
                self._learn(wanted.ended, asked=asked, now_ms=now_ms)
                self._lost.wrote(wanted)
                return now_ms
        raise SessionStoreUnavailable  # others write all the time

    def _is_well(self, record: MarksRecord, now_ms: int) -> bool:
        return record.holds(self._known) and record.at >= now_ms - _BEAT_MS

    async def _read_with_time(self) -> tuple[int, bytes]:
        """What time it is at the key's server, to the millisecond, and what stands there."""
        _, now_ms, stands = await self._run_swap(b"", b"")
        return now_ms, stands

    async def _run_swap(self, stands: bytes, put: bytes) -> tuple[bytes, int, bytes]:
        """What swap.lua replies. Replicas have to confirm what is put, if the settings say so."""
        status, now_ms, stands = await self._scripts.run_fenced(
            _SWAP, self._key, stands, put, expected_echo=put.decode(), wait_replicas=bool(put)
        )
        return status, now_ms, stands

    def _learn(self, marks: Marks, *, asked: float, now_ms: int) -> None:
        """Go by what was found, for a while; no mark that is known is taken back.

        `asked`: when, in monotonic seconds. What was written later is not among it.
        """
        self._known = of_use(merge(self._known, marks), now_ms=now_ms)
        if self._lapse is not None:
            self._lapse.cancel()
        left = asked + _GOOD_SECONDS - time.monotonic()
        if left <= 0:  # this process stood still meanwhile
            self._lapsed()
            return
        self._since.apply(self._known)
        # Not by the task that looks, which may be waiting for something.
        self._lapse = asyncio.get_running_loop().call_later(left, self._lapsed, context=Context())

    def _lapsed(self) -> None:
        """Let no session through, until a look succeeds.

        But of several servers, that of the mark may be the only one away: the
        sessions on all others would be refused for it.
        """
        if len(self._redis.topology.nodes()) <= 1:
            self._since.forget()
        self._wanted.set()
