"""A TCP relay whose faults are switched while it runs."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from typing import Literal, Self

Delay = float | tuple[float, float]
Direction = Literal["up", "down"]  # up is from the client to the target


class ChaosProxy:
    """Relays 127.0.0.1:`port` to a target, and spoils it as a test says.

    The target is a host and its port, or the path of a unix socket. Every
    switch works at once, for the connections there are and those to come.
    """

    def __init__(self, target: str, target_port: int | None = None) -> None:
        self.port = 0
        self.delay: dict[Direction, Delay] = {"up": 0, "down": 0}  # seconds, or from-to, per piece
        self.bytes: dict[Direction, int] = {"up": 0, "down": 0}  # delivered so far
        self.connections = 0  # accepted so far
        self._target = target
        self._target_port = target_port
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._reply_limit: int | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        while self._serving:  # more than once, for one that was still dialling
            self.cut()
            await asyncio.wait(self._serving, timeout=0.05)

    @property
    def open_connections(self) -> int:
        return len(self._links)

    async def accept(self) -> None:
        """Listen; after `refuse`, on the same port as before."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Have new connections refused; those there are live on."""
        if self._listener is not None:
            self._listener.close()
            await asyncio.sleep(0)  # uvloop closes the socket in its next round
        self._listener = None

    def point_to(self, target: str, target_port: int | None = None) -> None:
        """Have new connections go elsewhere, as an address does; those there are live on."""
        self._target, self._target_port = target, target_port

    def stall(self) -> None:
        """Hold all bytes, both ways, until `resume` delivers them."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def forget(self) -> None:
        """Relay no byte more of the connections there are, and tell nobody; new ones work."""
        for link in self._links:
            link.forgotten = True

    def lead_to(self, target: str) -> None:
        """Have connections from now on go to another unix socket."""
        self._target = target

    def drop_replies_after(self, limit: int | None) -> None:
        """From now on lose all but so many reply bytes of each connection; None lets all pass."""
        self._reply_limit = limit
        for link in self._links:
            link.reply_limit = limit

    def inject(self, data: bytes, *, awaiting: bool = False) -> int:
        """Send this to every client that awaits a reply, or none; return how many those were."""
        sent = 0
        for link in self._links:
            if link.awaits_reply == awaiting:
                with suppress(RuntimeError):  # it has just been closed
                    link.client.write(data)
                    sent += 1
        return sent

    def cut(self, *, reset: bool = True) -> int:
        """End all connections now, by RST or else by FIN; return how many there were."""
        for link in self._links:
            link.end(reset=reset)
        return len(self._links)

    def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._relay(reader, client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _relay(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            from_target, target = await self._dial()
        except OSError:
            _close(client, reset=True)
            return
        link = _Link(client, target, self._reply_limit)
        self._links.add(link)
        link.tasks = (
            asyncio.create_task(self._pump("up", reader, target, link)),
            asyncio.create_task(self._pump("down", from_target, client, link)),
        )
        await asyncio.wait(link.tasks)
        link.end(reset=False)
        self._links.discard(link)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target_port is None:
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(self._target, self._target_port)

    async def _pump(
        self,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: _Link,
    ) -> None:
        try:
            while data := await reader.read(65536):
                if direction == "up":
                    link.awaits_reply = True
                await self._hold(direction)
                if link.forgotten:
                    continue
                if direction == "down":
                    data = link.passing(data)
                writer.write(data)
                await writer.drain()
                self.bytes[direction] += len(data)
            await self._flowing.wait()
            writer.write_eof()
        except (OSError, RuntimeError):  # the latter is uvloop's word for a closed transport
            link.end(reset=True)

    async def _hold(self, direction: Direction) -> None:
        delay = self.delay[direction]
        span = delay if isinstance(delay, tuple) else (delay, delay)
        await asyncio.sleep(random.uniform(*span))
        await self._flowing.wait()


class _Link:
    """One client's connection and the one to the target that serves it."""

    def __init__(
        self, client: asyncio.StreamWriter, target: asyncio.StreamWriter, reply_limit: int | None
    ) -> None:
        self.client = client
        self.target = target
        self.reply_limit = reply_limit
        self.awaits_reply = False
        self.forgotten = False
        self.tasks: tuple[asyncio.Task[None], ...] = ()

    def passing(self, reply: bytes) -> bytes:
        """Return what the limit leaves of a reply, and count it."""
        if self.reply_limit is not None:
            reply = reply[: self.reply_limit]
            self.reply_limit -= len(reply)
        self.awaits_reply = self.awaits_reply and not reply
        return reply

    def end(self, *, reset: bool) -> None:
        for task in self.tasks:
            task.cancel()
        _close(self.client, reset=reset)
        _close(self.target, reset=reset)


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset:
        writer.close()
    elif not writer.is_closing():  # else its file descriptor may be another's by now
        plug: socket.socket = writer.get_extra_info("socket")
        # Not to linger at all is what makes the close a RST.
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
