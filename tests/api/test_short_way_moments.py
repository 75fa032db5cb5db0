"""A check that is answered the short way, where something else happens meanwhile."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.core.models import Session
from service.http import connections, short_way
from service.http.deadlines import Deadlines, Phase
from service.http.protocol import AppProtocol
from service.redis.client import RedisClient
from tests.api.verify_requests import request
from tests.support.keys import SESSION_PREFIX
from tests.support.process import LINUX_ONLY, RedisServer, eventually
from tests.support.running import running_service
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator

pytestmark = LINUX_ONLY

BUDGET: Final = 1.0
"""Seconds in which a store that is away is given up."""


@dataclass
class Stage:
    """A service over a Redis of its own, and two who are logged in."""

    api: Api
    redis: RedisServer
    one: bytes
    two: bytes
    openids: list[str]

    @property
    def port(self) -> int:
        return int(self.api.url.rpartition(":")[2])

    @property
    def short(self) -> int:
        return int(self.api.app.ctx.short_answers)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
        """A connection, and the service's end of it."""
        known = set(self.api.app.ctx.connections.open)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        room = self.api.app.ctx.connections
        await eventually(lambda: bool(room.open - known), within=5, what="it is accepted")
        [protocol] = room.open - known
        return reader, writer, protocol

    async def look(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]:
        """The same, with the session of one being looked up in a Redis that stands still."""
        reader, writer, protocol = await self.open()
        self.redis.freeze()
        writer.write(self.one)
        await eventually(lambda: protocol._look is not None, within=5, what="it is looked up")
        return reader, writer, protocol


@pytest.fixture
async def stage(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr(connections, "_INTERVAL_SECONDS", 0.05)
    async with RedisServer() as redis:
        own = settings(redis_url=redis.url, wechat_api_base=(simulator.url,))
        async with running_service(own) as api:
            asks, openids = [], []
            for user in ("one", "two"):
                login = await api.login(await simulator.code(user))
                asks.append(request(f"sessionid: {login.data['sessionid']}"))
                headers = {"sessionid": login.data["sessionid"]}
                answer = await api.ask("GET", "/verify", headers=headers)
                openids.append(answer.headers["X-Auth-Openid"])
            await api.http.close()
            assert openids[0] != openids[1]
            room = api.app.ctx.connections
            await eventually(lambda: not room.open, within=5, what="nobody is connected")
            yield Stage(api, redis, asks[0], asks[1], openids)
            redis.thaw()
            await eventually(lambda: not room.open, within=10, what="all are gone")


async def answer(reader: asyncio.StreamReader) -> tuple[int, str, str]:
    """The status, the connection header and the openid of the next one."""
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
    found = re.search(r"X-Auth-Openid: (\S+)", head)
    stays = re.search(r"connection: (\S+)", head)
    assert stays
    return int(head.split()[1]), stays[1], found[1] if found else ""


def phase_of(protocol: Any) -> Phase:
    return Phase(protocol.wait.phase)


async def until_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read()


async def test_each_is_counted_and_the_connection_kept(stage: Stage) -> None:
    reader, writer, protocol = await stage.open()
    counted, short = protocol.state["requests_count"], stage.short
    for number, ask in enumerate((stage.one, stage.two) * 3):
        writer.write(ask)
        assert await answer(reader) == (200, "keep-alive", stage.openids[number % 2])
    assert protocol.state["requests_count"] - counted == stage.short - short == 6
    writer.close()


async def test_who_hangs_up_meanwhile_leaves_nothing_behind(stage: Stage) -> None:
    short = stage.short
    _, writer, protocol = await stage.look()
    writer.transport.abort()
    room = stage.api.app.ctx.connections
    await eventually(lambda: not room.open, within=5, what="it is gone")
    await eventually(lambda: protocol._task is None, within=5, what="its task is over")
    assert protocol._look is None
    assert not protocol.connections
    stage.redis.thaw()
    reader, writer, _ = await stage.open()
    writer.write(stage.two)
    assert await answer(reader) == (200, "keep-alive", stage.openids[1])
    assert stage.short == short + 1
    writer.close()


async def test_whoever_asks_again_meanwhile_has_both_answers_in_order(stage: Stage) -> None:
    short = stage.short
    reader, writer, protocol = await stage.look()
    half = len(stage.two) // 2
    writer.write(stage.two[:half])
    await eventually(lambda: protocol._look is None, within=5, what="more has come")
    writer.write(stage.two[half:] + stage.one)
    stage.redis.thaw()
    for openid in (*stage.openids, stage.openids[0]):
        assert await answer(reader) == (200, "keep-alive", openid)
    assert stage.short == short
    writer.write(stage.two)
    assert await answer(reader) == (200, "keep-alive", stage.openids[1])
    assert stage.short == short + 1
    writer.close()


async def test_it_is_neither_idle_nor_late_meanwhile(stage: Stage) -> None:
    reader, writer, protocol = await stage.look()
    assert phase_of(protocol) is Phase.ANSWER
    assert protocol.waiting_since() is None
    later = time.monotonic() + 1
    assert protocol.look(later) is False
    protocol.leave(later + 1000, later)
    assert protocol._look is not None
    assert not protocol.transport.is_closing()
    stage.redis.thaw()
    assert await answer(reader) == (200, "keep-alive", stage.openids[0])
    assert phase_of(protocol) is Phase.IDLE
    writer.close()


async def test_its_line_in_the_log_says_since_when_it_was_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, said = stage.api.app.ctx, []
    context.settings = context.settings.model_copy(update={"access_log": True})
    monkeypatch.setattr(short_way, "say_access", lambda *_, since: said.append(since))
    asked = time.monotonic()
    reader, writer, _ = await stage.look()
    looked = time.monotonic()
    stage.redis.thaw()
    assert await answer(reader) == (200, "keep-alive", stage.openids[0])
    [since] = said
    assert asked <= since <= looked
    writer.close()


async def test_one_that_the_store_forgets_goes_the_ordinary_way(stage: Stage) -> None:
    short = stage.short
    reader, writer, protocol = await stage.look()
    assert protocol.look(time.monotonic() + 3) is False
    assert protocol._look is None
    stage.redis.thaw()
    assert await answer(reader) == (200, "keep-alive", stage.openids[0])
    assert stage.short == short
    writer.close()


async def test_one_that_is_cut_meanwhile_is_not_written_to(stage: Stage) -> None:
    _, writer, protocol = await stage.look()
    short = stage.short
    look = protocol._look
    protocol.cut()
    protocol._told(look, Session("h", "wx", "o", None, "default", "user", 0, 7, "", ""))
    assert stage.short == short
    assert protocol._look is None
    stage.redis.thaw()
    writer.close()


async def test_a_worker_that_ends_answers_it_and_closes(stage: Stage) -> None:
    reader, writer, _ = await stage.look()
    room = stage.api.app.ctx.connections
    short = stage.short
    draining = asyncio.create_task(room.drain())
    await eventually(lambda: room.leaving, within=5, what="it is ending")
    stage.redis.thaw()
    assert await answer(reader) == (200, "close", stage.openids[0])
    assert await until_end(reader) == b""
    await asyncio.wait_for(draining, 10)
    assert stage.short == short + 1
    writer.close()


async def test_an_idle_one_ends_as_after_any_answer(stage: Stage) -> None:
    stage.api.app.config.KEEP_ALIVE_TIMEOUT = 0.3
    watch = Stopwatch()
    reader, writer, _ = await stage.open()
    writer.write(stage.one)
    assert await answer(reader) == (200, "keep-alive", stage.openids[0])
    assert await until_end(reader) == b""
    assert watch.elapsed >= 0.3
    assert not watch.exceeds(Deadlines().head - 1)  # by which one is ended that never asked
    writer.close()


@pytest.mark.parametrize("how", ["frozen", "gone"])
async def test_a_store_that_is_away_is_asked_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    read = []
    whole = RedisClient.read

    async def count(self: RedisClient, key: str, **more: Any) -> Any:
        if key.startswith(SESSION_PREFIX):
            read.append(key)
        return await whole(self, key, **more)

    monkeypatch.setattr(RedisClient, "read", count)
    reader, writer, protocol = await stage.open()
    if how == "gone":
        stage.redis.kill()
    else:
        stage.redis.freeze()
    watch = Stopwatch()
    writer.write(stage.one)
    assert (await answer(reader))[:2] == (503, "keep-alive")
    assert not watch.exceeds(BUDGET)
    assert read == []
    assert protocol._fault is None
    if how == "gone":
        await stage.redis.start()
    else:
        stage.redis.thaw()
    writer.close()


async def test_who_takes_no_answer_gets_nothing_more_done(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = Deadlines(rate=20_000, unsent=1.0)
    monkeypatch.setattr(AppProtocol, "deadlines", patience)
    loop = asyncio.get_running_loop()
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect(("127.0.0.1", stage.port))
        silent.setblocking(False)
        room = stage.api.app.ctx.connections
        await eventually(lambda: len(room.open) == 1, within=5, what="it is accepted")
        [protocol] = room.open
        while not protocol.is_sending:
            done = stage.short
            await loop.sock_sendall(silent, stage.one)
            async with asyncio.timeout(5):
                while stage.short == done:
                    await asyncio.sleep(0)
        done, counted = stage.short, protocol.state["requests_count"]
        await loop.sock_sendall(silent, stage.one)
        watch = Stopwatch()
        await eventually(lambda: not room.open, within=20, what="it is cut")
        assert not watch.exceeds(patience.unsent + 1)
        assert (stage.short, protocol.state["requests_count"]) == (done, counted)
