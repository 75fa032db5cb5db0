"""One connection with much to ask keeps a worker from nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from service.http.reader import Reader

if TYPE_CHECKING:
    import pytest

    from tests.support.running import Api

ASK = b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n"
MANY = 3000
FEW = 100
"""Of these; without turns it is a thousand, until the client has to take some."""


async def answered_meanwhile(api: Api) -> int:
    """How many of many requests at once had their answer when one that came later had its own."""
    port = int(api.url.rpartition(":")[2])
    many, one = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    many[1].write(ASK * MANY)
    said = await many[0].readuntil(b"\r\n\r\n")
    one[1].write(ASK)
    reading = asyncio.create_task(one[0].readuntil(b"\r\n\r\n"))
    while not reading.done():
        said += await many[0].read(65536)
    assert b" 200 " in await reading
    for _, writer in (many, one):
        writer.transport.abort()
    return said.count(b"HTTP/1.1 200")


async def test_requests_of_one_connection_take_turns_with_others(api: Api) -> None:
    assert await answered_meanwhile(api) < FEW


async def test_without_a_turn_for_others_they_would_not(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "http1_request_header", Reader.__mro__[1].http1_request_header)  # type: ignore[attr-defined] # Sanic's
    assert await answered_meanwhile(api) > FEW
