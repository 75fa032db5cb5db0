"""What a connection is at, and how long it may be: deadlines that no further byte puts off."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from sanic.exceptions import RequestTimeout, ServiceUnavailable
from sanic.http import Stage

from service.http.sending import SendingProtocol


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a client may take, in seconds."""

    head: float = 5.0
    """To the end of a head, from its first byte; of the first one, from the connection's start."""
    body: float = 10.0
    """To the end of a body, from the end of its head; and more for what has come, by `rate`."""
    rate: float = 32 * 1024
    """Bytes that are worth one more second, of a body (a picture of 2 MB may take 74) or answer."""
    rest: float = 1.0
    """To the end of a body that nobody wants, from the answer."""
    unsent: float = 20.0
    """To take an answer from us; and more for what is taken, by `rate`."""
    close: float = 5.0
    """To be gone when told to go."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """How long a client may take from when the worker is told to end, in seconds."""

    idle: float = 1.0
    """To ask once more, also where it has been idle for long: it has not been told to go.

    A proxy that goes on asking comes to each of its connections in this time, and hears it. Those
    on which it does not are unlikely to be asked in the very moment in which they are closed.
    """
    head: float = 1.0
    """To the end of a head."""
    rest: float = 4.0
    """To the end of a body, or to take an answer."""


class Phase(enum.Enum):
    """What a connection is at."""

    NEW = enum.auto()
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    TAKING = enum.auto()
    REST = enum.auto()
    CLOSING = enum.auto()


class Wait(NamedTuple):
    """A phase, when it began, in monotonic seconds, and how many it may last."""

    phase: Phase
    since: float
    seconds: float


_IDLE: Final = Stage.IDLE
"""By itself, for to ask an enum for a member takes its time."""
_SERVERS_TURN: Final = frozenset({Phase.ANSWER, Phase.CLOSING})


class TimedProtocol(SendingProtocol):
    """Sanic's connection, each of whose phases has an end.

    Sanic's own time-outs begin anew with every byte, and have a timer for each
    connection. Somebody has to call `look` instead, twice a second or so. It finds
    most out from what Sanic keeps in any case, so that requests pay nothing for it.
    """

    deadlines: ClassVar[Deadlines] = Deadlines()
    farewell: ClassVar[Farewell] = Farewell()

    __slots__ = ("_late", "_resumed", "_wait")

    _http: Any
    keep_alive_timeout: float
    response_timeout: float

    def __init__(self, **sanics: Any) -> None:
        super().__init__(**sanics)
        self._http = None
        self._wait: Wait | None = None  # for a client in the midst of a request, or to be gone
        self._resumed = 0.0  # when the last such wait was over
        self._late = False

    @property
    def wait(self) -> Wait:
        """What it is at."""
        if self.is_leaving:
            return self._taking
        if self._wait is not None:
            return self._wait
        http = self._http
        if http is None:
            return Wait(Phase.CLOSING, self._time, self.deadlines.close)
        if http.stage is not _IDLE:
            return self._taking if self.is_sending else self._answering
        if http.answered:
            return Wait(Phase.IDLE, self._time, self.keep_alive_timeout)
        return Wait(Phase.NEW, self._time, self.deadlines.head)

    @property
    def _taking(self) -> Wait:
        return Wait(Phase.TAKING, self.lying_since or self._time, self.deadlines.unsent)

    @property
    def last_moved(self) -> float:
        """When bytes last came or went, in monotonic seconds."""
        return self._time

    @property
    def _answering(self) -> Wait:
        began: float | None = self._http.perft0  # by another clock
        if began is None:
            since = self._time
        else:
            since = max(time.monotonic() - (time.perf_counter() - began), self._resumed)
        return Wait(Phase.ANSWER, since, self.response_timeout)

    def waiting_since(self) -> float | None:
        """When its client's turn began, if that it is; to ask, or to take an answer."""
        phase, since, _ = self.wait
        if phase in _SERVERS_TURN:
            return None
        return min(since, self.lying_since) if self.lying_since else since

    def look(self, now: float) -> bool:
        """See whether its time is over; returns whether its client took no answer in time."""
        self.look_at_answers(now, self.deadlines.rate)
        lying = self.lying_since
        if lying and now >= lying + self.deadlines.unsent:
            self.cut()
            return True
        phase, since, seconds = self.wait
        if now >= since + seconds:
            self._end(phase, now)
        return False

    def cut(self) -> None:
        """End it here and now."""
        self._go(time.monotonic())
        self.reset()

    def _go(self, now: float) -> None:
        self._wait = Wait(Phase.CLOSING, now, self.deadlines.close)

    def _end(self, phase: Phase, now: float) -> None:
        self._go(now)
        if phase in {Phase.CLOSING, Phase.TAKING}:
            self.cut()
        elif phase in {Phase.NEW, Phase.IDLE}:
            self.close()  # without a word, which would be read as the answer to a request to come
        elif phase is not Phase.ANSWER:
            self._late = True
            self._data_received.set()
        elif self._task is not None:
            self._http.exception = ServiceUnavailable("Response Timeout")
            self._task.cancel()

    async def receive_more(self) -> None:
        """Wait for more bytes. Raises RequestTimeout in the midst of a request."""
        http = self._http
        within = http.stage is not _IDLE or http.request_body
        if within:
            self._wait = http.wait_for_more()
            self._late = False
        # As Sanic has it; a call of that would be felt on every request.
        self.transport.resume_reading()  # type: ignore[union-attr]
        self._data_received.clear()
        try:
            await self._data_received.wait()
        finally:  # who read on may have been ended
            if within and not self._late:
                self._wait, self._resumed = None, self._time
        if within and self._late:
            raise RequestTimeout("Request Timeout")

    def check_timeouts(self) -> None:
        """Nothing, where Sanic would set its timer."""

    def leave(self, now: float, told: float) -> None:
        """Let its request have an answer and nothing come after it, as the worker is to end.

        To be called every few moments from when that was `told`.
        """
        phase, since, _ = self.wait
        begun = max(since, told)
        if phase in {Phase.NEW, Phase.IDLE}:
            if now >= begun + self.farewell.idle and not self.has_unread:
                self._end(phase, now)
        elif phase is Phase.HEAD:
            if now >= begun + self.farewell.head:
                self._end(phase, now)
        elif phase not in _SERVERS_TURN and now >= begun + self.farewell.rest:
            self._end(phase, now)
