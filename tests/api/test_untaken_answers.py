"""Who does not take the answers keeps little here, and not for long."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.http import connections
from service.http.deadlines import Deadlines
from service.http.protocol import AppProtocol
from service.http.sending import SendingProtocol
from tests.api.malformed import END
from tests.support.process import LINUX_ONLY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.running import Api

pytestmark = LINUX_ONLY

SHORT: Final = Deadlines(rate=20_000, unsent=1.0)
SLACK: Final = 1.0
NAME: Final = "0" * 40 + ".jpg"
SIZE: Final = 300_000
ASK: Final = b"GET /uploads/" + NAME.encode() + b" HTTP/1.1\r\nHost: here"


@pytest.fixture(autouse=True)
def deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short ones, closely watched."""
    monkeypatch.setattr(AppProtocol, "deadlines", SHORT)
    monkeypatch.setattr(connections, "_INTERVAL_SECONDS", 0.05)


@pytest.fixture(autouse=True)
async def picture(api: Api) -> None:
    """One that is larger than what a kernel takes at once."""
    await api.app.ctx.services.avatars.put(NAME, bytes(SIZE))


@contextmanager
def client(api: Api) -> Iterator[socket.socket]:
    """One that has little room itself, connected."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", int(api.url.rpartition(":")[2])))
        peer.setblocking(False)
        yield peer


async def begin(peer: socket.socket, raw: bytes) -> None:
    """Ask, and wait for the first byte, which is left where it is."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(peer, raw)
    async with asyncio.timeout(10):
        while True:
            try:
                peer.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                await asyncio.sleep(0.01)
            else:
                return


async def take(peer: socket.socket, *, at_a_time: int) -> int:
    """Read so much twenty times a second, to the end; how much it was. Raises OSError."""
    loop = asyncio.get_running_loop()
    size = 0
    while True:
        await asyncio.sleep(0.05)
        piece = await loop.sock_recv(peer, at_a_time)
        if not piece:
            return size
        size += len(piece)


async def until_closed(api: Api) -> float:
    """How many seconds that takes."""
    watch = Stopwatch()
    async with asyncio.timeout(20):
        while api.app.ctx.connections.open:
            await asyncio.sleep(0.01)
    return watch.seconds


@pytest.mark.parametrize("size", [SIZE, 100_000], ids=["not all", "all"])
@pytest.mark.parametrize("how", [b"\r\nConnection: close", b""], ids=["close", "keep"])
async def test_what_is_taken_slowly_comes_whole(api: Api, how: bytes, size: int) -> None:
    """And takes longer than any deadline, with all of it in the kernel or not."""
    api.app.config.RESPONSE_TIMEOUT = api.app.config.KEEP_ALIVE_TIMEOUT = 0.5
    await api.app.ctx.services.avatars.put(NAME, bytes(size))
    with client(api) as slow:
        await begin(slow, ASK + how + END)
        watch = Stopwatch()
        assert await take(slow, at_a_time=size // 40) > size
        assert watch.elapsed > 1.5


async def test_who_takes_a_little_again_and_again_is_cut_all_the_same(api: Api) -> None:
    with client(api) as dripping:
        await begin(dripping, ASK + END)
        closing = asyncio.create_task(until_closed(api))
        with pytest.raises(ConnectionResetError):
            await take(dripping, at_a_time=100)
        assert await closing < SHORT.unsent + SLACK


@pytest.mark.parametrize("how", [b"\r\nConnection: close", b""], ids=["close", "keep"])
@pytest.mark.parametrize("size", [SIZE, 100_000], ids=["not all", "all"])
async def test_who_takes_nothing_is_cut_and_the_kernel_keeps_nothing_for_it(
    api: Api, how: bytes, size: int
) -> None:
    await api.app.ctx.services.avatars.put(NAME, bytes(size))
    with client(api) as silent:
        await begin(silent, ASK + how + END)
        assert SHORT.unsent / 2 < await until_closed(api) < SHORT.unsent + SLACK
        with pytest.raises(ConnectionResetError):
            await take(silent, at_a_time=SIZE)


async def test_it_is_told_once_and_as_no_fault_of_ours(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as all_of_them:
        for _ in range(5):
            await begin(all_of_them.enter_context(client(api)), (ASK + END) * 3)
        await until_closed(api)
    told = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "connections: answers that were not taken in time: cut " in told[0].getMessage()


async def test_nothing_more_is_done_for_whoever_does_not_take_the_answers(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatars = api.app.ctx.services.avatars
    read = []
    get = avatars.get

    async def count(name: str) -> Any:
        read.append(name)
        return await get(name)

    monkeypatch.setattr(avatars, "get", count)
    with client(api) as silent:
        await begin(silent, (ASK + END) * 30)
        await until_closed(api)
    assert 1 <= len(read) <= 2


async def test_the_kernel_keeps_little_for_each(api: Api) -> None:
    with client(api) as silent:
        await begin(silent, (ASK + END) * 30)
        (connection,) = api.app.ctx.connections.open
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 128 * 1024


async def test_of_all_answers_together_little_is_kept_and_who_waits_longest_goes(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(AppProtocol, "deadlines", Deadlines())
    monkeypatch.setattr(connections, "_MOST_UNSENT", 3_000_000)
    monkeypatch.setattr(connections, "_LESS", 2_500_000)
    with ExitStack() as all_of_them:
        peers = [all_of_them.enter_context(client(api)) for _ in range(12)]
        for peer in peers:
            await begin(peer, ASK + END)
        assert sum(one.unsent for one in api.app.ctx.connections.open) <= 3_000_000
        went = [_is_cut(peer) for peer in peers]
        assert went == sorted(went, reverse=True)
        assert 5 <= sum(went) <= 10
    assert "of answers that are not taken: cut " in caplog.text


def _is_cut(peer: socket.socket) -> bool:
    return peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


async def test_only_what_lies_still_counts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has always one answer on the way, far off, is not taken for one who takes none."""
    untaken = 100_000
    monkeypatch.setattr(SendingProtocol, "_count_untaken", lambda _: untaken)
    with client(api):
        async with asyncio.timeout(5):
            while not (room := api.app.ctx.connections).open:
                await asyncio.sleep(0.01)
        room.stop()
        (connection,) = room.open
        connection._written, connection._time = 100_000, 9.9

        def lying_since(now: float) -> float:
            connection.look_at_answers(now, 100_000)
            return float(connection.lying_since)

        assert lying_since(10.0) == 9.9
        assert lying_since(10.5) == 9.9
        untaken = 80_000
        assert lying_since(11.0) == pytest.approx(10.1)
        connection._written, untaken = (
            300_000,
            200_000,
        )  # what lay there is taken, and other things lie
        assert lying_since(11.5) == 11.5
        untaken = 0
        assert lying_since(12.0) == 0.0
        connection.cut()
