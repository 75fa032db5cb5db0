"""What a connection is at, and how long it may be: deadlines that no further byte puts off."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from sanic.exceptions import RequestTimeout, ServiceUnavailable
from sanic.server.protocols.http_protocol import HttpProtocol


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a client may take, in seconds."""

    head: float = 5.0
    """To the end of a head, from its first byte; of the first one, from the connection's start."""
    body: float = 10.0
    """To the end of a body, from the end of its head; and more for what has come, by `rate`."""
    rate: float = 32 * 1024
    """Bytes of a body that are worth one more second: a picture of 2 MB may take 74."""
    rest: float = 1.0
    """To the end of a body that nobody wants, from the answer."""
    unsent: float = 20.0
    """To take an answer from us."""
    close: float = 5.0
    """To be gone when told to go."""


class Phase(enum.Enum):
    """What a connection is at."""

    NEW = enum.auto()
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    REST = enum.auto()
    CLOSING = enum.auto()


_SERVERS_TURN = frozenset({Phase.ANSWER, Phase.CLOSING})


class TimedProtocol(HttpProtocol):
    """Sanic's connection, each of whose phases has an end.

    Sanic's own time-outs begin anew with every byte, and have a timer for each
    connection. Somebody has to call `look` instead, a few times a second.
    """

    deadlines: ClassVar[Deadlines] = Deadlines()

    __slots__ = ("_due", "_late", "_unsent", "phase", "since")

    keep_alive_timeout: float
    response_timeout: float

    def __init__(self, **sanics: Any) -> None:
        super().__init__(**sanics)
        self.phase = Phase.NEW
        self.since = self._due = 0.0
        self._late = False
        self._unsent = 0.0  # since when an answer lies here, as far as seen

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn."""
        return self.phase not in _SERVERS_TURN

    def enter(self, phase: Phase, seconds: float, *, since: float | None = None) -> None:
        """Be at `phase` for so many seconds at most, from `since` or from the last byte."""
        self.phase = phase
        self.since = since = self._time if since is None else since
        self._due = since + seconds
        self._late = False

    def look(self, now: float) -> None:
        """See whether its time is over."""
        if now >= self._due:
            self._end(now)
        elif self.transport is None or not self.transport.get_write_buffer_size():
            self._unsent = 0.0
        elif not self._unsent:
            self._unsent = now
        elif now >= self._unsent + self.deadlines.unsent:
            self.cut()

    def cut(self) -> None:
        """End it here and now."""
        self.phase = Phase.CLOSING
        if self.transport is not None:
            self.transport.abort()  # not Sanic's abort: it forgets the transport, and asks it later

    def _end(self, now: float) -> None:
        phase, self.phase = self.phase, Phase.CLOSING
        self._due = now + self.deadlines.close
        if phase is Phase.CLOSING:
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
        """Wait for more bytes. Raises RequestTimeout."""
        if not self._late:
            # As Sanic has it; a call of that would be felt on every request.
            self.transport.resume_reading()  # type: ignore[union-attr]
            self._data_received.clear()
            await self._data_received.wait()
        if self._late:
            raise RequestTimeout("Request Timeout")

    def check_timeouts(self) -> None:
        """Nothing, where Sanic would set its timer."""

    def close_if_idle(self) -> bool:
        """Close it if no request is under way, as the worker is to end; returns whether it was so.

        A head that has begun gets no more than a moment.
        """
        if self.phase is Phase.HEAD:
            self._due = min(self._due, time.monotonic() + self.deadlines.rest)
        closed: bool = super().close_if_idle()
        return closed
