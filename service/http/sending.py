"""Answers on their way: no faster than a client takes them, and what of them it did not take."""

from __future__ import annotations

import socket
import struct
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from sanic.exceptions import RequestCancelled
from sanic.server.protocols.http_protocol import HttpProtocol

if TYPE_CHECKING:
    from asyncio import BaseTransport

_SEND_BUFFER: Final = 64 * 1024
"""Bytes of answers that the kernel takes for a client, where it would take 4 MB.

It doubles that for its own needs. A round trip of 100 ms lets 640 KB a second through.
"""
_PIECE: Final = 16 * 1024
"""Bytes that are written at a time; as many may wait for the kernel to take them."""
_LITTLE: Final = 8 * 1024
"""Bytes that may be left to the kernel when a connection is closed, where nobody counts them."""
_RESET: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER that throws away what was not sent, and says so to the peer."""


class Room(Protocol):
    """What the connections of a worker have room for."""

    leaving: bool
    """Whether each answer is to be the last one of its connection."""

    def make_room(self, size: int) -> None:
        """For so many bytes of an answer."""


class SendingProtocol(HttpProtocol):
    """Sanic's connection, which knows what of its answers its client has not taken.

    Somebody has to call `look_at_answers`, twice a second or so: requests only
    count what they write.
    """

    __slots__ = (
        "_looked",
        "_rest",
        "_room",
        "_taken",
        "_untaken",
        "_written",
        "is_leaving",
        "lying_since",
    )

    _time: float

    def __init__(self, **sanics: Any) -> None:
        super().__init__(**sanics)
        self._room: Room = self.app.ctx.connections
        self._written = 0
        self._rest = 0  # bytes that are kept for what is being written in pieces
        # As of the last look:
        self._looked = 0  # what was written
        self._taken = 0  # what of it the client has
        self._untaken = 0  # what it has not
        self.lying_since = 0.0
        """Since when an answer lies here that is not taken, in monotonic seconds; 0 if none is.

        What is taken at the least rate moves it on.
        """
        self.is_leaving = False
        """Whether it ends as soon as its answers are taken."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Be ready for the first request."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        transport.set_write_buffer_limits(high=_PIECE)  # type: ignore[attr-defined]
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    @property
    def unsent(self) -> int:
        """Bytes that are kept for its client, as far as seen."""
        return self._rest + self._untaken

    @property
    def is_told_to_go(self) -> bool:
        """Whether its client is to come again on another connection."""
        return self._room.leaving

    @property
    def is_sending(self) -> bool:
        """Whether an answer is being written, or is to be once the one before it is taken."""
        return self._rest > 0 or not self._can_write.is_set()

    async def send(self, data: bytes | memoryview) -> None:
        """Write, once what was written before is mostly taken. Raises RequestCancelled."""
        if len(data) > _PIECE:
            await self._send_in_pieces(data)
            return
        if not self._can_write.is_set():
            await self._can_write.wait()
        if self.is_leaving or self.transport.is_closing():  # type: ignore[union-attr]
            raise RequestCancelled
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        self.transport.write(data)  # type: ignore[union-attr]
        self._written += len(data)
        self._time = time.monotonic()

    async def _send_in_pieces(self, data: bytes | memoryview) -> None:
        whole = memoryview(data)
        self._rest = 2 * len(whole)  # Sanic keeps the body beside it
        try:
            self._room.make_room(self._rest)
            for start in range(0, len(whole), _PIECE):
                await self.send(whole[start : start + _PIECE])
        finally:
            self._rest = 0

    async def until_taken(self) -> None:
        """Wait until there is room for another answer: who does not take any gets nothing done."""
        await self._can_write.wait()

    def look_at_answers(self, now: float, rate: float) -> None:
        """See what was taken since the last look; `rate`: bytes a second that are fast enough."""
        if not self._untaken and self._written - self._looked <= _LITTLE:
            return  # as in any crowd of checks: to ask the kernel for each would take its time
        untaken = self._count_untaken()
        taken = self._written - untaken
        if not untaken:
            self.lying_since = 0.0
        elif not self.lying_since:
            self.lying_since = min(now, self._time)  # when the last of it was written
        elif taken >= self._looked:  # what lay here then is taken
            self.lying_since = now
        else:
            # What came fast in the beginning does not pay for standing still later.
            self.lying_since = min(now, self.lying_since + (taken - self._taken) / rate)
        self._looked, self._taken, self._untaken = self._written, taken, untaken
        if self.is_leaving and not untaken:
            super().close()

    @property
    def has_unread(self) -> bool:
        """Whether bytes of its client have come which nobody has looked at."""
        return bool(self.recv_buffer) or _has_come(self.transport)

    def close(self, timeout: float | None = None) -> None:
        """Close it, once its client has taken what it has to; until then that is ours to end.

        Otherwise the kernel would keep it for as long as the client likes.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self.is_leaving:
            return
        if self._count_untaken() <= _LITTLE:
            super().close(timeout=timeout)
            return
        self.is_leaving = True
        transport.pause_reading()
        transport.write_eof()

    def reset(self) -> None:
        """End it here and now, with whatever was not sent."""
        self._rest = self._untaken = 0
        transport = self.transport
        if transport is not None:
            peer = transport.get_extra_info("socket")
            if peer is not None and not transport.is_closing():
                with suppress(OSError):  # it is reset already, says macOS
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()  # not Sanic's abort: it forgets the transport, and asks it later

    def _count_untaken(self) -> int:
        transport = self.transport
        if transport is None or transport.is_closing():
            return 0
        return transport.get_write_buffer_size() + _in_kernel(transport.get_extra_info("socket"))


def _has_come(transport: Any) -> bool:
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None or sys.platform == "win32":
        return False
    from fcntl import ioctl  # noqa: PLC0415 # not on Windows
    from termios import FIONREAD  # noqa: PLC0415

    return any(ioctl(peer.fileno(), FIONREAD, bytes(4)))


def _in_kernel(peer: Any) -> int:
    """Bytes that are sent, and not known to have arrived."""
    if sys.platform != "linux" or peer is None:
        return 0
    from fcntl import ioctl  # noqa: PLC0415 # not on Windows
    from termios import TIOCOUTQ  # noqa: PLC0415 # which is SIOCOUTQ for a socket

    return int.from_bytes(ioctl(peer.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
