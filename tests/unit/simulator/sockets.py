"""Bytes to a simulator over bare sockets, in the test's own event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from tests.support.running import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.simulator.context import SimulatorApp


@asynccontextmanager
async def serving(app: SimulatorApp) -> AsyncIterator[int]:
    """Serve in the test's own loop; yield the port."""
    async with running(app) as url:
        yield int(url.rpartition(":")[2])


class Wire:
    """One bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, uri: str, *, method: str = "GET", host: str = "sim", body: bytes = b"") -> None:
        head = f"{method} {uri} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)

    async def receive(self) -> tuple[bytes, bytes]:
        """Return the head and the body of one answer that has a Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return head, await self.reader.readexactly(length)

    async def ask(self, uri: str, **kwargs: Any) -> tuple[bytes, Any]:
        """Send, and return the head and the JSON that came back."""
        self.send(uri, **kwargs)
        head, body = await self.receive()
        return head, orjson.loads(body)

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield wire
    finally:
        await wire.close()
