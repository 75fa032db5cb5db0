from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import ChaosProxy
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Client:
    """One connection through the proxy to a target that echoes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.read(len(data))

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(2):
            return await self.reader.readexactly(count)

    async def silent(self) -> bool:
        try:
            async with asyncio.timeout(0.05):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[ChaosProxy]:
    target = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = target.sockets[0].getsockname()[1]
    async with ChaosProxy("127.0.0.1", port) as running:
        yield running
    target.close()


@asynccontextmanager
async def connected(proxy: ChaosProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def test_relays_and_counts(proxy: ChaosProxy) -> None:
    big = bytes(range(256)) * 4096
    async with connected(proxy) as one, connected(proxy) as two:
        assert await one.ask(b"one") == b"one"
        assert await two.ask(big) == big
        assert (proxy.connections, proxy.open_connections) == (2, 2)
        assert proxy.bytes == {"up": 3 + len(big), "down": 3 + len(big)}


async def test_relays_to_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "echo")
    target = await asyncio.start_unix_server(echo, path)
    async with ChaosProxy(path) as proxy, connected(proxy) as client:
        assert await client.ask(b"hello") == b"hello"
        proxy.cut()
    target.close()


async def test_hands_on_the_end_of_input_after_the_last_bytes(proxy: ChaosProxy) -> None:
    async with connected(proxy) as client:
        client.writer.write(b"last")
        client.writer.write_eof()
        async with asyncio.timeout(2):
            assert await client.reader.read() == b"last"


@pytest.mark.parametrize("delay", [0.1, (0.1, 0.11)])
async def test_delays_one_direction(proxy: ChaosProxy, delay: float | tuple[float, float]) -> None:
    async with connected(proxy) as client:
        proxy.delay["up"] = delay
        watch = Stopwatch(alone=True)
        await client.ask(b"slow")
        assert watch.elapsed > 0.09  # uvloop counts whole milliseconds
        proxy.delay["up"] = 0
        watch = Stopwatch(alone=True)
        await client.ask(b"fast")
        assert watch.seconds < 0.09


async def test_cut_by_reset_is_an_error_to_the_client(proxy: ChaosProxy) -> None:
    async with connected(proxy) as client:
        await client.ask(b"x")
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            await client.read(1)
    async with connected(proxy) as client:
        assert await client.ask(b"again") == b"again"


async def test_cut_by_fin_is_an_end_to_the_client(proxy: ChaosProxy) -> None:
    async with connected(proxy) as client:
        await client.ask(b"x")
        assert proxy.cut(reset=False) == 1
        async with asyncio.timeout(2):
            assert await client.reader.read() == b""


async def test_refuses_the_new_and_keeps_the_old(proxy: ChaosProxy) -> None:
    async with connected(proxy) as old:
        await old.ask(b"x")
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await old.ask(b"y") == b"y"
        await proxy.accept()
        async with connected(proxy) as new:
            assert await new.ask(b"z") == b"z"


async def test_a_stall_holds_bytes_and_resume_delivers_them(proxy: ChaosProxy) -> None:
    async with connected(proxy) as client:
        await client.ask(b"x")
        proxy.stall()
        client.writer.write(b"held")
        assert await client.silent()
        proxy.resume()
        assert await client.read(4) == b"held"


async def test_a_stalled_proxy_still_ends(proxy: ChaosProxy) -> None:
    async with connected(proxy) as client:
        await client.ask(b"x")
        proxy.stall()
        client.writer.write(b"held")
        assert await client.silent()
        proxy.cut()


async def test_replies_are_lost_after_the_limit(proxy: ChaosProxy) -> None:
    async with connected(proxy) as old:
        await old.ask(b"x")
        proxy.drop_replies_after(3)
        old.writer.write(b"abcdef")
        async with connected(proxy) as new:
            new.writer.write(b"uvwxyz")
            assert await old.read(3) == b"abc"
            assert await new.read(3) == b"uvw"
            assert await old.silent()
        proxy.drop_replies_after(None)
        assert await old.ask(b"ghi") == b"ghi"


async def test_injects_into_idle_connections_only(proxy: ChaosProxy) -> None:
    async with connected(proxy) as idle, connected(proxy) as busy:
        await idle.ask(b"x")
        await busy.ask(b"y")
        proxy.delay["down"] = 0.1
        busy.writer.write(b"z")
        await asyncio.sleep(0.02)
        assert proxy.inject(b"stray") == 1
        assert await idle.read(5) == b"stray"
        assert await busy.read(1) == b"z"


async def test_a_target_that_is_down_resets_the_client() -> None:
    async with ChaosProxy("127.0.0.1", 1) as proxy, connected(proxy) as client:
        with pytest.raises(ConnectionResetError):
            await client.read(1)


async def test_forgotten_connections_stay_open_and_silent(proxy: ChaosProxy) -> None:
    async with connected(proxy) as old:
        await old.ask(b"x")
        proxy.forget()
        old.writer.write(b"y")
        assert await old.silent()
        async with connected(proxy) as new:
            assert await new.ask(b"z") == b"z"
