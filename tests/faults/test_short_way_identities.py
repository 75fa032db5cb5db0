"""Nobody is taken for somebody else by the short way, whoever hangs up whenever."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.core.models import SESSION_KEY_BYTES, WeChatIdentity
from service.redis.batching import Reading, _ReadBatch
from service.stores.session_record import SessionRecord
from service.stores.sessions import RedisSessions
from tests.api.verify_requests import END, request
from tests.support.effort import effort
from tests.support.process import LINUX_ONLY, RedisServer, eventually
from tests.support.proxy import ChaosProxy
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.running import Api

pytestmark = [LINUX_ONLY, pytest.mark.timeout(180)]

QUESTIONS: Final = int(os.environ.get("QUESTIONS") or effort(4000, 20_000))
CLIENTS: Final = 64
DELAY: Final = 0.004
_LONGEST: Final = 0.1
_OPENID: Final = re.compile(rb"\r\nX-Auth-Openid: (\S+)\r\n")


class Crowd:
    """Clients that ask on behalf of one user after the other, and hang up half of the time."""

    def __init__(self, port: int, asks: Mapping[str, bytes], *, seed: str) -> None:
        """`asks`: what to send for whom."""
        self._port = port
        self._asks = asks
        self._seed = seed
        self.told: Counter[str] = Counter()
        """How many were answered `right`, `wrong` or `otherwise`, or not: `hung up`."""

    async def ask(self, times: int) -> None:
        left = iter(range(times))
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._keep_asking(left, random.Random(f"{self._seed}-{number}")))

    async def _keep_asking(self, left: Iterator[int], moment: random.Random) -> None:
        users = list(self._asks)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for _ in left:
            user = moment.choice(users)
            writer.write(self._asks[user])
            if moment.random() < 0.5:
                # Before the answer, mostly, or with it.
                await asyncio.sleep(moment.random() ** 3 * _LONGEST)
                writer.transport.abort()
                self.told["hung up"] += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                continue
            async with asyncio.timeout(30):
                head = await reader.readuntil(END)
            if not head.startswith(b"HTTP/1.1 200 "):
                length = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                self.told["otherwise"] += 1
                continue
            found = _OPENID.search(head)
            self.told["right" if found and found[1].decode() == user else "wrong"] += 1
        writer.transport.abort()


@asynccontextmanager
async def crowd(settings: Callable[..., Settings]) -> AsyncIterator[tuple[Api, Crowd]]:
    """Before a service whose Redis answers now sooner, now later."""
    async with RedisServer() as server, ChaosProxy(server.socket) as proxy:
        own = settings(redis_url=f"redis://127.0.0.1:{proxy.port}")
        async with running_service(own) as api:
            sessions = api.app.ctx.services.sessions
            asks = {}
            for number in range(CLIENTS):
                identity = WeChatIdentity(f"openid-{number:04}", bytes(SESSION_KEY_BYTES))
                opened = await sessions.create(
                    identity, appid=APPID, device="default", user_id=f"user-{number}"
                )
                asks[identity.openid] = request(f"sessionid: {opened.session_id.text}")
            seed = os.environ.get("SEED") or str(random.SystemRandom().getrandbits(32))
            print(f"SEED={seed}")  # noqa: T201 # to repeat a failure
            proxy.delay = {"up": (0, DELAY / 2), "down": (0, DELAY / 2)}
            yield api, Crowd(int(api.url.rpartition(":")[2]), asks, seed=seed)
            await assert_nothing_is_left(api)


async def assert_nothing_is_left(api: Api) -> None:
    """Neither of the clients nor of what was asked for them."""
    room = api.app.ctx.connections
    await eventually(lambda: not room.open, within=10, what="nobody is connected")
    nodes: list[Any] = list(api.app.ctx.services.sessions.redis.topology.nodes())
    held = [one for node in nodes for one in node._held]
    assert held
    await eventually(
        lambda: all(one.wire is None or one.wire.is_idle for one in held),
        within=10,
        what="no reply is waited for",
    )
    for node in nodes:
        assert not node.reads._keys
        assert not node.reads._answers
    assert not any(one._waiting for one in held)
    # Nobody is told any more, not even in vain.
    assert not [one for one in asyncio.all_tasks() if "connection_task" in repr(one)]


async def test_none_of_many_that_hang_up_is_told_who_somebody_else_is(
    settings: Callable[..., Settings], figure: Figure
) -> None:
    async with crowd(settings) as (api, many):
        protocols = api.app.ctx.connections.open
        await many.ask(QUESTIONS)
        short = api.app.ctx.short_answers
        assert not [one for one in protocols if one._look is not None and one.transport is None]
    figure(f"{QUESTIONS} asked: {dict(many.told)}, {short} answered the short way")
    assert many.told["wrong"] == many.told["otherwise"] == 0
    assert many.told["right"] > QUESTIONS / 3
    assert short >= many.told["right"]


def _mix_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each reader of a batch the reading of the next one."""
    answer = _ReadBatch.answer

    def wrongly(self: Any, replies: list[Any]) -> None:
        values = replies[0]
        mixed = [*values[1:], *values[:1]] if isinstance(values, list) else values
        answer(self, [mixed, *replies[1:]])

    monkeypatch.setattr(_ReadBatch, "answer", wrongly)


async def test_readings_that_are_mixed_up_are_nobodys(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    """A record says whose it is, and is compared: the second lock on the door."""
    async with crowd(settings) as (api, many):
        _mix_up(monkeypatch)
        await many.ask(QUESTIONS // 10)
        short = api.app.ctx.short_answers
    figure(f"replies mixed up, and looked at: {dict(many.told)}, {short} the short way")
    assert many.told["wrong"] == 0
    assert short < many.told.total() / 2


async def test_without_that_look_they_would_be_caught_here(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    def trusting(_: RedisSessions, reading: Reading, *_more: object) -> Any:
        fields = SessionRecord.read(reading.value or b"", handle=_handle_in(reading.value))
        return fields.session(expires_in=7)

    async with crowd(settings) as (_, many):
        _mix_up(monkeypatch)
        monkeypatch.setattr(RedisSessions, "_simply_live", trusting)
        await many.ask(QUESTIONS // 10)
    figure(f"replies mixed up, and not looked at: {dict(many.told)}")
    assert many.told["wrong"] > many.told.total() / 10


def _handle_in(value: bytes | None) -> str:
    found = re.search(rb'"h":"([^"]+)"', value or b"")
    assert found
    return found[1].decode()
