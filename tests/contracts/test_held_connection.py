"""The connection that is kept: whatever happens to it, no reply reaches another's request."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from service.redis.batching import CommandBatcher, ReadBatcher, Reading
from service.redis.connect import connect
from service.redis.errors import FAULTS
from service.redis.held_connection import HeldConnection
from service.redis.pipeline import encode_command
from service.redis.wire import Wire
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.proxy import ChaosProxy
from tests.support.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

pytestmark = LINUX_ONLY

KEYS: Final = [f"key-{number}" for number in range(40)]


def value_of(key: str) -> bytes:
    return f"of {key}".encode()


@dataclass
class Held:
    """One held connection to a real server by way of a proxy, and what goes over it."""

    server: RedisServer
    proxy: ChaosProxy
    client: Redis
    connection: HeldConnection
    reads: ReadBatcher
    timed: ReadBatcher
    commands: CommandBatcher

    @property
    def wire(self) -> Wire:
        assert self.connection.wire is not None
        return self.connection.wire

    async def reads_all(self) -> bool:
        """Whether every key is found to have its own value."""
        found = await asyncio.gather(*map(self.reads.read, KEYS))
        return [one.value for one in found] == [value_of(key) for key in KEYS]

    def taken(self) -> int:
        """Places of the driver's pool that are taken."""
        pool: Any = self.client.connection_pool
        return len(pool._in_use_connections)


# Time enough for a busy machine: what has to be over soon says so by itself.
@asynccontextmanager
async def holding(
    server: RedisServer, *, user: str = "", redis_timeout_ms: int = 3000
) -> AsyncIterator[Held]:
    async with ChaosProxy(server.socket) as proxy:
        url = f"redis://{user}127.0.0.1:{proxy.port}"
        client = connect(make_settings(redis_url=url, redis_timeout_ms=redis_timeout_ms))
        patience = client.connection_pool.connection_kwargs["socket_timeout"]
        connection = HeldConnection(client, timeout=2 * patience)
        yield Held(
            server,
            proxy,
            client,
            connection,
            ReadBatcher(connection, in_cluster=False, with_ttl=False),
            ReadBatcher(connection, in_cluster=False, with_ttl=True),
            CommandBatcher(connection),
        )
        server.thaw()
        await connection.aclose()
        await client.aclose()


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest.fixture
async def held(server: RedisServer) -> AsyncIterator[Held]:
    async with holding(server) as held:
        await held.client.flushall()
        await held.client.mset({key: value_of(key) for key in KEYS})
        yield held


async def turns_until(condition: Any, *, within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_each_read_finds_its_own(held: Held) -> None:
    await held.client.rpush("list", "no text")
    await held.client.set("mortal", "soon gone", px=60_000)
    found = await asyncio.gather(*map(held.reads.read, [*KEYS, "absent", "list"] * 20))
    assert (
        found == [*(Reading(value_of(key), None) for key in KEYS), *[Reading(None, None)] * 2] * 20
    )
    mortal, lasting, absent = await asyncio.gather(
        *map(held.timed.read, ["mortal", KEYS[0], "absent"])
    )
    assert mortal.value == b"soon gone"
    assert 0 < (mortal.ttl_ms or 0) <= 60_000
    assert lasting == Reading(value_of(KEYS[0]), -1)
    assert absent == Reading(None, -2)


async def test_one_connection_carries_all(held: Held) -> None:
    before = held.proxy.connections
    for _ in range(20):
        assert await held.reads_all()
        await held.timed.read(KEYS[0])
        await held.commands.execute(encode_command("PING"))
    assert held.proxy.connections - before <= 1
    assert held.taken() == 1


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(*values: bytes) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(map(bulk, values))


STRAYS: Final = {
    "a nil": b"$-1\r\n",
    "an array as long": array(*(b"of another",) * len(KEYS)),
    "nils as many": b"*%d\r\n" % len(KEYS) + b"$-1\r\n" * len(KEYS),
    "two of them": array(*(b"of another",) * len(KEYS)) * 2,
    "an array and what looks like its end": array(*(b"of another",) * len(KEYS)) + bulk(b"7777"),
    "an error": b"-ERR something else\r\n",
    "half an array": array(*(b"of another",) * len(KEYS))[:-30],
    "what is no reply": b"HTTP/1.1 200 OK\r\n\r\n",
    "a push": b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nx\r\n",
}


async def found_after_a_stray(held: Held, stray: bytes) -> bool:
    """Whether all find their own when this comes just ahead of the reply to them."""
    assert await held.reads_all()
    held.server.freeze()
    reading = asyncio.create_task(held.reads_all())
    try:
        await turns_until(lambda: held.proxy.inject(stray, awaiting=True))
    finally:
        held.server.thaw()
    return await reading


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS.keys())
async def test_a_reply_too_many_reaches_nobody(held: Held, stray: bytes) -> None:
    assert await found_after_a_stray(held, stray)
    assert await held.reads_all()
    assert held.taken() == 1


async def test_without_the_number_behind_each_batch_it_would(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(self: Wire, reply: Any) -> None:
        self._replies.append(reply)
        batch, wanted, *_ = self._sent[0]
        if len(self._replies) == wanted:
            replies, self._replies = self._replies[:-1], []
            self._sent.popleft()
            batch.answer(replies)

    monkeypatch.setattr(Wire, "_take", take)
    stray = array(*(b"of another",) * len(KEYS)) + bulk(b"7")
    assert not await found_after_a_stray(held, stray)


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS.keys())
async def test_what_comes_unasked_ends_the_connection(held: Held, stray: bytes) -> None:
    assert await held.reads_all()
    wire = held.wire
    assert held.proxy.inject(stray) >= 1
    await turns_until(lambda: not wire.is_open)
    assert await held.reads_all()
    assert held.wire is not wire
    assert held.taken() == 1


async def test_a_reply_too_few_reaches_nobody(held: Held) -> None:
    assert await held.reads_all()
    wire = held.wire
    held.proxy.drop_replies_after(0)
    lost = held.reads.read(KEYS[0])
    await turns_until(lambda: not wire.is_idle)
    await asyncio.sleep(0.05)  # for the reply to come, and be lost; if it comes later, all is well
    held.proxy.drop_replies_after(None)
    assert (await held.reads.read(KEYS[1])).value == value_of(KEYS[1])
    assert (await lost).value == value_of(KEYS[0])


async def test_a_connection_that_is_cut_is_made_anew(held: Held) -> None:
    for reset in (True, False):
        assert await held.reads_all()
        held.server.freeze()
        reading = asyncio.create_task(held.reads_all())
        await turns_until(lambda: not held.wire.is_idle)
        held.proxy.cut(reset=reset)
        held.server.thaw()
        assert await reading
    assert held.taken() == 1


async def test_nobody_waits_longer_than_for_two_attempts(server: RedisServer) -> None:
    async with holding(server, redis_timeout_ms=150) as held:
        await held.reads.read(KEYS[0])
        server.freeze()
        waits = []

        async def ask() -> None:
            began = time.monotonic()
            with pytest.raises(FAULTS):
                await held.reads.read(KEYS[0])
            waits.append(time.monotonic() - began)

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(ask())
                await asyncio.sleep(0.01)
        # 0.3 s each, or less for who came to a batch that had waited; half of them, as the
        # machine may be busy.
        assert sorted(waits)[len(waits) // 2] < 0.4
        server.thaw()
        await turns_until(lambda: held.connection.wire is not None)
        await held.reads.read(KEYS[0])


async def test_while_it_is_refused_each_is_told(held: Held) -> None:
    assert await held.reads_all()
    await held.proxy.refuse()
    held.proxy.cut()
    found = await asyncio.gather(
        *map(held.reads.read, KEYS),
        held.commands.execute(encode_command("PING")),
        return_exceptions=True,
    )
    assert {type(one) for one in found} == {RedisConnectionError}
    assert held.taken() == 0
    await held.proxy.accept()
    assert await held.reads_all()


@pytest.mark.parametrize("denied", ["-mget", "-echo"])
async def test_a_user_who_may_not_do_all(held: Held, denied: str) -> None:
    """One that may not ECHO is of an ACL from before that was needed."""
    may = ("on", "nopass", "~*", "+@all", denied)
    await held.client.execute_command("ACL", "SETUSER", "somebody", *may)
    async with holding(held.server, user="somebody:x@") as other:
        for _ in range(2):
            found = await asyncio.gather(*map(other.reads.read, KEYS), return_exceptions=True)
            if denied == "-mget":
                assert {type(one) for one in found} == {NoPermissionError}
            else:
                assert found == [Reading(value_of(key), None) for key in KEYS]
        assert other.proxy.connections == 1, "an error is an answer"


async def test_the_end_waits_for_what_is_under_way(server: RedisServer) -> None:
    async with holding(server) as held:
        await held.client.mset({key: value_of(key) for key in KEYS})
        assert await held.reads_all()
        server.freeze()
        reading = asyncio.create_task(held.reads_all())
        await turns_until(lambda: not held.wire.is_idle)
        ending = asyncio.create_task(held.connection.aclose())
        await asyncio.sleep(0.05)
        assert not ending.done()
        server.thaw()
        await ending
        assert reading.done()
        assert await reading
        assert held.taken() == 0


async def test_cuts_and_strays_and_callers_who_give_up_mix_up_nothing(held: Held) -> None:
    wrong: list[tuple[str, Any]] = []
    told = 0

    async def ask(number: int) -> None:
        nonlocal told
        for turn in range(60):
            key = KEYS[(number * 7 + turn) % len(KEYS)]
            reading = held.reads.read(key)
            if (number + turn) % 5 == 0:
                await asyncio.sleep(0)
                reading.cancel()
                continue
            with suppress(*FAULTS):
                found = await reading
                told += 1
                if found.value != value_of(key):
                    wrong.append((key, found))

    asking = [asyncio.create_task(ask(number)) for number in range(64)]
    strays = list(STRAYS.values())
    count = 0
    while not all(one.done() for one in asking):
        count += 1
        await asyncio.sleep(0.002)
        held.proxy.inject(strays[count % len(strays)], awaiting=count % 2 == 0)
        if count % 7 == 0:
            held.proxy.cut()
    await asyncio.gather(*asking)
    assert wrong == []
    assert told > 500
    assert await held.reads_all()
    await turns_until(lambda: held.taken() == 1)
    assert held.wire.is_idle
