"""Commands that go together are answered apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.stores.command_lane import CommandLane
from service.stores.redis_connection import connect
from service.stores.redis_wire import RedisWire, packed
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.embedded_redis import EmbeddedRedis

pytestmark = LINUX_ONLY


@pytest.fixture
async def lane(redis_server: EmbeddedRedis) -> AsyncIterator[CommandLane]:
    client = connect(make_settings(redis_url=redis_server.url))
    await client.flushall()
    lane = CommandLane(RedisWire(client))
    yield lane
    await lane.aclose()
    await client.aclose()


async def test_each_caller_gets_the_reply_to_their_own_command(lane: CommandLane) -> None:
    await asyncio.gather(*(lane.execute(packed("SET", f"k{n}", n)) for n in range(300)))
    replies = await asyncio.gather(*(lane.execute(packed("GET", f"k{n}")) for n in range(300)))
    assert replies == [str(n).encode() for n in range(300)]


async def test_an_error_is_its_own_callers_only(lane: CommandLane) -> None:
    found: Any = await asyncio.gather(
        lane.execute(packed("SET", "text", "x")),
        lane.execute(packed("INCR", "text")),
        lane.execute(packed("GET", "text")),
        lane.execute(packed("NONSENSE")),
        return_exceptions=True,
    )
    assert found[2] == b"x"
    assert isinstance(found[1], ResponseError)
    assert isinstance(found[3], ResponseError)


async def test_they_go_together(lane: CommandLane, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    ask = lane._wire.ask

    async def counting(commands: list[bytes]) -> list[Any]:
        sizes.append(len(commands))
        return await ask(commands)

    monkeypatch.setattr(lane._wire, "ask", counting)
    await asyncio.gather(*(lane.execute(packed("PING")) for _ in range(100)))
    assert sizes == [100]
    # While as many batches as allowed are under way, the rest gather for the next one.
    sizes.clear()
    waiting = []
    for _ in range(40):
        waiting.append(lane.execute(packed("PING")))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert sum(sizes) == 40
    assert len(sizes) < 40


async def test_who_gives_up_takes_nobody_along_and_is_not_sent(lane: CommandLane) -> None:
    kept, dropped = (
        lane.execute(packed("SET", "kept", 1)),
        lane.execute(packed("SET", "dropped", 1)),
    )
    dropped.cancel()
    await kept
    assert await lane.execute(packed("GET", "dropped")) is None
    assert await lane.execute(packed("GET", "kept")) == b"1"


async def test_a_server_that_is_away_is_told_to_every_caller() -> None:
    async with RedisServer() as server:
        url = server.url
    client = connect(make_settings(redis_url=url, redis_timeout_ms=100))
    lane = CommandLane(RedisWire(client))
    found = await asyncio.gather(
        *(lane.execute(packed("PING")) for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(one, RedisConnectionError) for one in found)
    await lane.aclose()
    await client.aclose()
