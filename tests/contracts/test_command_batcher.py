"""Commands that go together are answered apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.redis.batching import CommandBatcher
from service.redis.connect import connect
from service.redis.held_connection import HeldConnection
from service.redis.pipeline import encode_command
from service.redis.wire import Wire
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio.connection import AbstractConnection

    from service.dev.embedded_redis import EmbeddedRedis
    from service.redis.wire import Batch

pytestmark = LINUX_ONLY


@pytest.fixture
async def batcher(redis_server: EmbeddedRedis) -> AsyncIterator[CommandBatcher]:
    client = connect(make_settings(redis_url=redis_server.url))
    await client.flushall()
    connection = HeldConnection(client, timeout=0.8)
    yield CommandBatcher(connection)
    await connection.aclose()
    await client.aclose()


async def test_each_caller_gets_the_reply_to_their_own_command(batcher: CommandBatcher) -> None:
    await asyncio.gather(*(batcher.execute(encode_command("SET", f"k{n}", n)) for n in range(300)))
    replies = await asyncio.gather(
        *(batcher.execute(encode_command("GET", f"k{n}")) for n in range(300))
    )
    assert replies == [str(n).encode() for n in range(300)]


async def test_an_error_is_its_own_callers_only(batcher: CommandBatcher) -> None:
    found: Any = await asyncio.gather(
        batcher.execute(encode_command("SET", "text", "x")),
        batcher.execute(encode_command("INCR", "text")),
        batcher.execute(encode_command("GET", "text")),
        batcher.execute(encode_command("NONSENSE")),
        return_exceptions=True,
    )
    assert found[2] == b"x"
    assert isinstance(found[1], ResponseError)
    assert isinstance(found[3], ResponseError)


async def test_they_go_together(batcher: CommandBatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    send = Wire.send

    def counting(self: Wire, batch: Batch) -> bool:
        sizes.append(len(batch.commands()))
        return send(self, batch)

    await batcher.execute(encode_command("PING"))
    monkeypatch.setattr(Wire, "send", counting)
    await asyncio.gather(*(batcher.execute(encode_command("PING")) for _ in range(100)))
    assert sizes == [100]


async def test_who_gives_up_takes_nobody_along_and_is_not_sent(batcher: CommandBatcher) -> None:
    kept, dropped = (
        batcher.execute(encode_command("SET", "kept", 1)),
        batcher.execute(encode_command("SET", "dropped", 1)),
    )
    dropped.cancel()
    await kept
    assert await batcher.execute(encode_command("GET", "dropped")) is None
    assert await batcher.execute(encode_command("GET", "kept")) == b"1"


async def test_who_has_given_up_by_the_second_attempt_is_not_sent_again(
    batcher: CommandBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await batcher.execute(encode_command("PING"))
    send, attempts = Wire.send, []

    def failing_once(self: Wire, batch: Batch) -> bool:
        attempts.append(len(batch.commands()))
        if len(attempts) > 1:
            return send(self, batch)
        dropped.cancel()
        self._lost(self, [batch], RedisTimeoutError())
        return True

    monkeypatch.setattr(Wire, "send", failing_once)
    kept, dropped = (
        batcher.execute(encode_command("INCR", "kept")),
        batcher.execute(encode_command("INCR", "dropped")),
    )
    assert await kept == 1
    assert await batcher.execute(encode_command("GET", "dropped")) is None
    assert attempts == [2, 1, 1]


async def test_who_gives_up_while_a_connection_is_made_is_not_sent_at_all(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Redis takes so long over AUTH that nobody waits any more."""
    client = connect(make_settings(redis_url=redis_server.url))
    held = HeldConnection(client, timeout=0.8)
    batcher = CommandBatcher(held)
    pool: Any = client.connection_pool
    get_connection, let_go = pool.get_connection, asyncio.Event()

    async def slow() -> AbstractConnection:
        await let_go.wait()
        found: AbstractConnection = await get_connection()
        return found

    monkeypatch.setattr(pool, "get_connection", slow)
    dropped = batcher.execute(encode_command("SET", "dropped", 1))
    await asyncio.sleep(0)
    dropped.cancel()
    let_go.set()
    assert await batcher.execute(encode_command("GET", "dropped")) is None
    await held.aclose()
    await client.aclose()


async def test_a_server_that_is_away_is_told_to_every_caller() -> None:
    async with RedisServer() as server:
        url = server.url
    client = connect(make_settings(redis_url=url, redis_timeout_ms=100))
    held = HeldConnection(client, timeout=0.2)
    batcher = CommandBatcher(held)
    found = await asyncio.gather(
        *(batcher.execute(encode_command("PING")) for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(one, RedisConnectionError) for one in found)
    await held.aclose()
    await client.aclose()
