"""A connection to Redis that many requests share: written to at once, its replies taken in order.

redis-py makes the connection (address, TLS, AUTH, SELECT, the look at its role); from then
on the bytes are ours, because each command of the driver costs a task, two time-outs and a
visit to the pool (docs/adr/0032). Its parser, hiredis, stays.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from service.redis.errors import FAULTS, driver_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

_INCOMPLETE: Final = object()
_MOST_NUMBERS: Final = 1000


class Batch(Protocol):
    """Commands that go together, and whoever waits for their replies."""

    asked: float
    """When the first of them was asked for, in monotonic seconds."""
    attempts: int
    """How often it was sent, or could not be."""

    def commands(self) -> list[bytes]:
        """What is to be sent now; nothing where nobody waits any more."""
        ...

    def fits(self, replies: list[Any]) -> bool:
        """Whether these can be the replies to it."""
        ...

    def answer(self, replies: list[Any]) -> None:
        """Give everybody theirs; raises nothing."""
        ...

    def fail(self, fault: Exception) -> None:
        """Tell everybody; raises nothing."""
        ...


class _Sent(NamedTuple):
    batch: Batch
    replies: int
    number: bytes
    at: float


class Wire(asyncio.Protocol):
    """Sends batches and hands each its replies, or all of them to `lost` when in doubt.

    A reply too many or too few would give everybody after it somebody else's. So
    each batch ends with an ECHO of a number, which has to come back just there, and
    nothing is told before it has. At the first thing that is not as it has to be
    the connection is given up whole.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        lost: Callable[[Wire, list[Batch], Exception], None],
    ) -> None:
        """`connection`: of the driver, connected and idle; nobody else may use it any more.

        `lost` hears once that it is given up, with what was not answered and why.
        Raises InvalidResponse where something has come on it already.
        """
        self.connection = connection
        self._lost = lost
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=connection._parser.parse_error,  # noqa: SLF001 # see the module's text
            notEnoughData=_INCOMPLETE,
        )
        self._sent: deque[_Sent] = deque()
        self._replies: list[Any] = []
        self._number = 0
        self.is_open = True
        writer: Any = connection._writer  # noqa: SLF001
        if connection._reader._buffer or writer.is_closing():  # type: ignore[union-attr] # noqa: SLF001
            raise InvalidResponse("something has come that nobody asked for")
        self._transport = writer.transport
        self._transport.set_protocol(self)

    @property
    def is_idle(self) -> bool:
        """Whether no reply is waited for."""
        return not self._sent

    @property
    def oldest(self) -> _Sent | None:
        """What has waited longest for its replies."""
        return self._sent[0] if self._sent else None

    def send(self, batch: Batch) -> bool:
        """Write it, as long as somebody waits for it; returns whether so."""
        commands = batch.commands()
        if not commands:
            return False
        self._number = (self._number + 1) % _MOST_NUMBERS
        number = b"%d" % self._number
        commands.append(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(number), number))
        self._sent.append(_Sent(batch, len(commands), number, time.monotonic()))
        try:
            with driver_calls:  # it raises RuntimeError when it was closed a moment ago
                self._transport.write(b"".join(commands))
        except FAULTS as fault:
            self.give_up(fault)
        return True

    def data_received(self, data: bytes) -> None:
        """Take replies."""
        if not self.is_open:
            return
        try:
            if not self._sent:
                raise InvalidResponse("the reply to nothing")
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._take(reply)
        except Exception as fault:  # noqa: BLE001 # whatever it is, what comes next is not to be trusted
            self.give_up(fault)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that it is closed."""
        self.give_up(exc or RedisConnectionError("Connection closed by server."))

    def give_up(self, fault: Exception) -> None:
        """Close it, here and now."""
        if not self.is_open:
            return
        self.is_open = False
        self._transport.abort()
        unanswered = [one.batch for one in self._sent]
        self._sent.clear()
        self._lost(self, unanswered, fault)

    def _take(self, reply: Any) -> None:
        if not self._sent:
            raise InvalidResponse("the reply to nothing")
        if isinstance(reply, RedisConnectionError):
            raise reply  # that it is one too many, say: the server hangs up
        replies = self._replies
        replies.append(reply)
        batch, wanted, number, _ = self._sent[0]
        if len(replies) < wanted:
            return
        self._replies = []
        echo = replies.pop()
        # A user that may not ECHO, from before it was needed, has an error just there.
        if not (echo == number or isinstance(echo, ResponseError)) or not batch.fits(replies):
            raise InvalidResponse("the reply to something else")
        self._sent.popleft()
        batch.answer(replies)
