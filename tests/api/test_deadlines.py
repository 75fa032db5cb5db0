"""A client has its time, and no byte that it sends begins that anew."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from service.http import connections
from service.http.deadlines import Deadlines
from service.http.protocol import AppProtocol
from tests.api.malformed import CHUNKED, END, GET, POST
from tests.support.pictures import part
from tests.support.process import LINUX_ONLY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.running import Api, Simulator

LATE: Final = [(408, 40800)]
SHORT: Final = Deadlines(head=0.4, body=0.6, rate=2000, rest=0.3, unsent=0.6, close=0.5)
SLACK: Final = 1.0
BODY: Final = POST + b"\r\nContent-Length: 9" + END


@pytest.fixture(autouse=True)
def deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short ones, closely watched."""
    monkeypatch.setattr(AppProtocol, "deadlines", SHORT)
    monkeypatch.setattr(connections, "_INTERVAL_SECONDS", 0.05)


class Client:
    """A raw connection that sends as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def drip(self, piece: bytes = b"x") -> None:
        """Send it again and again, until the connection ends."""
        while not (self.reader.at_eof() or self.writer.is_closing()):
            self.writer.write(piece)
            await asyncio.sleep(0.05)

    async def answers(self) -> list[tuple[int, int]]:
        """All of them, status and code of each, until the connection ends."""
        said = b""
        try:
            while more := await self.reader.read(65536):
                said += more
        except OSError:
            pass
        heads = re.findall(rb"HTTP/1\.1 (\d+).*?\r\n\r\n(\{.*?\})(?=HTTP/1\.1 |$)", said, re.DOTALL)
        return [(int(status), orjson.loads(body)["code"]) for status, body in heads]


@asynccontextmanager
async def client(api: Api, raw: bytes = b"") -> AsyncIterator[Client]:
    """Connected, with `raw` sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(raw)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def about(seconds: float) -> AsyncIterator[None]:
    """What is done here takes so long, less what went by before, and the slack."""
    watch = Stopwatch()
    async with asyncio.timeout(seconds + 20):
        yield
    assert watch.elapsed >= seconds / 2
    assert not watch.exceeds(seconds + SLACK)


@pytest.mark.parametrize("kind", ["", "Connection: close\r\n", "Connection: keep-alive\r\n"])
@pytest.mark.parametrize("dripped", [False, True])
async def test_a_head_has_its_time(api: Api, kind: str, *, dripped: bool) -> None:
    head = GET + b"\r\n" + kind.encode() + b"A: "
    async with client(api, head) as stalled, about(SHORT.head), asyncio.TaskGroup() as tasks:
        if dripped:
            tasks.create_task(stalled.drip())
        assert await stalled.answers() == LATE


@pytest.mark.parametrize("kind", ["", "Connection: close\r\n", "Connection: keep-alive\r\n"])
@pytest.mark.parametrize("dripped", [False, True])
async def test_a_body_has_its_time(api: Api, kind: str, *, dripped: bool) -> None:
    head = POST + b"\r\n" + kind.encode() + b"Content-Length: 4000" + END
    async with client(api, head) as stalled, about(SHORT.body), asyncio.TaskGroup() as tasks:
        if dripped:
            tasks.create_task(stalled.drip())
        assert await stalled.answers() == LATE


@pytest.mark.parametrize("what", ["half a body", "half an upload"])
async def test_a_client_that_goes_silent_is_no_fault_of_the_service(
    api: Api, simulator: Simulator, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    head, body = POST + b"\r\n", b'{"code": "'
    if what == "half an upload":
        session = (await api.login(await simulator.code())).data["sessionid"]
        head = b"POST /me/avatar HTTP/1.1\r\nHost: x\r\nsessionid: " + session.encode() + b"\r\n"
        head += b"Content-Type: multipart/form-data; boundary=Frontier\r\n"
        body = part(b"anything")
    async with client(api, head + b"Content-Length: 4000" + END + body) as stalled:
        assert await stalled.answers() == LATE
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "piece", [b"0", b"1\r\nx\r\n"], ids=["a size that does not end", "chunks of one byte"]
)
async def test_so_has_a_body_in_chunks(api: Api, piece: bytes) -> None:
    async with client(api, CHUNKED) as stalled, about(SHORT.body), asyncio.TaskGroup() as tasks:
        tasks.create_task(stalled.drip(piece))
        assert await stalled.answers() == LATE


async def test_a_body_that_comes_fast_enough_may_take_longer(api: Api) -> None:
    head = POST + b"\r\nContent-Length: 8000" + END
    async with client(api, head) as slow, about(1.6):  # of 0.6 + 8000 / 2000 seconds
        for _ in range(16):
            slow.writer.write(b"x" * 500)
            await asyncio.sleep(0.1)
        slow.writer.write(GET + b"\r\nConnection: close" + END)
        assert await slow.answers() == [(200, 0), (200, 0)]


@pytest.mark.parametrize("kind", [b"", b"\r\nConnection: close", b"\r\nConnection: keep-alive"])
@pytest.mark.parametrize("dripped", [False, True])
async def test_the_rest_of_a_body_that_nobody_wants_has_less(
    api: Api, kind: bytes, *, dripped: bool
) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: here" + kind + b"\r\nContent-Length: 9999" + END
    async with client(api, head) as stalled, about(SHORT.rest), asyncio.TaskGroup() as tasks:
        if dripped:
            tasks.create_task(stalled.drip())
        assert await stalled.answers() == [(404, 40400)]


async def test_who_sends_that_rest_in_time_is_served_further(api: Api) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: here\r\nContent-Length: 300000" + END
    async with client(api, head) as honest:
        await honest.reader.readuntil(END)
        honest.writer.write(b"x" * 300_000 + GET + b"\r\nConnection: close" + END)
        assert (await honest.answers())[-1:] == [(200, 0)]


async def test_a_connection_that_says_nothing_is_closed_without_a_word(api: Api) -> None:
    async with client(api) as silent, about(SHORT.head):
        assert await silent.reader.read() == b""


async def test_so_is_one_that_asks_no_more(api: Api) -> None:
    api.app.config.KEEP_ALIVE_TIMEOUT = 0.6
    async with client(api, GET + END) as idle, about(0.6):
        assert await idle.answers() == [(200, 0)]


async def test_between_requests_there_is_more_time_than_for_a_head(api: Api) -> None:
    async with client(api) as slow:
        for number in range(3):
            slow.writer.write(GET + END)
            await slow.reader.readuntil(b"}}")
            await asyncio.sleep(SHORT.head * (1.5 if number else 1.2))
        slow.writer.write(GET + b"\r\nConnection: close" + END)
        assert await slow.answers() == [(200, 0)]


async def test_who_does_not_read_the_answers_is_cut(api: Api) -> None:
    port = int(api.url.rpartition(":")[2])
    ask = b"GET /uploads/default-avatar.png HTTP/1.1\r\nHost: here" + END
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        watch = Stopwatch()
        while not _is_cut(client, ask * 500):
            assert watch.elapsed < 20
            await asyncio.sleep(0.02)
    assert not watch.exceeds(SHORT.unsent + SHORT.close + SLACK)


def _is_cut(client: socket.socket, sending: bytes) -> bool:
    try:
        client.send(sending)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


@pytest.mark.parametrize("wrong", [b"junk", b"x" * 60_000, b"\0" * 100])
async def test_what_follows_something_malformed_is_read_by_nobody(api: Api, wrong: bytes) -> None:
    raw = CHUNKED + b"0x1\r\n" + wrong + END + (GET + END) * 50
    async with client(api, raw) as junk, about(0):
        assert await junk.answers() == [(400, 40000)]


async def test_nothing_is_left_of_those_that_went(api: Api) -> None:
    for raw in (b"", GET, BODY, BODY + b"x", CHUNKED, GET + END):
        async with client(api, raw):
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while api.app.ctx.connections.open:
            await asyncio.sleep(0.01)


@LINUX_ONLY
async def test_the_kernel_is_to_look_for_clients_that_are_gone(api: Api) -> None:
    async with client(api, GET + END) as idle:
        await idle.reader.readuntil(END)
        (connection,) = api.app.ctx.connections.open
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


async def test_an_answer_has_its_time_whatever_is_sent_meanwhile(
    api: Api, simulator: Simulator
) -> None:
    api.app.config.RESPONSE_TIMEOUT = 0.6
    await simulator.fault("hang")
    body = b'{"code": "c"}'
    ask = b"POST /login HTTP/1.1\r\nHost: here\r\nContent-Length: %d" % len(body) + END + body
    async with client(api, ask) as dripping, about(0.6), asyncio.TaskGroup() as tasks:
        tasks.create_task(dripping.drip())
        assert await dripping.answers() == [(503, 50302)]
    await simulator.heal()
