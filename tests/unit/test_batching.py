"""What goes together, where a real Redis would not fail in the very turn that matters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from service.redis.batching import CommandBatcher, ReadBatcher, Reading

if TYPE_CHECKING:
    from service.redis.wire import Batch


class HeldServer:
    """A connection to a Redis that answers each batch when it is told to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def send(self, batch: Batch) -> None:
        self.batches.append(batch)


def reading(server: HeldServer) -> ReadBatcher:
    connection: Any = server
    return ReadBatcher(connection, in_cluster=False, with_ttl=False)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_asked_for_in_one_turn_goes_together_and_two_at_a_time() -> None:
    server = HeldServer()
    reads = reading(server)
    asked = []
    for turn in range(4):
        asked += [reads.read(f"{turn}-{number}") for number in range(3)]
        await turns()
    assert [batch.commands()[0].count(b"-") for batch in server.batches] == [3, 3]
    server.batches[0].answer([[b"a", b"b", b"c"]])
    assert server.batches[2].commands()[0].count(b"-") == 6, "what gathered meanwhile"
    assert [await one for one in asked[:3]] == [Reading(one, None) for one in (b"a", b"b", b"c")]


async def test_where_nobody_else_asks_a_read_waits_for_nobody() -> None:
    server = HeldServer()
    reads = reading(server)
    for number in range(8):
        asked = reads.read("alone")
        assert len(server.batches) == number, "the first ones wait for the turn's end"
        await turns()
        server.batches[-1].answer([[b"value"]])
        await asked
    at_once = reads.read("at once")
    assert len(server.batches) == 9
    both = [reads.read("with"), reads.read("another")]
    await turns()
    assert len(server.batches) == 10
    server.batches[8].answer([[b"value"]])
    server.batches[9].answer([[b"value", b"value"]])
    await asyncio.gather(at_once, *both)
    reads.read("in company again")
    assert len(server.batches) == 10


async def test_four_batches_of_commands_are_under_way_at_most() -> None:
    server = HeldServer()
    connection: Any = server
    commands = CommandBatcher(connection)
    asked = []
    for turn in range(6):
        asked += [commands.execute(b"%d" % turn) for _ in range(3)]
        await turns()
    assert [len(batch.commands()) for batch in server.batches] == [3] * 4
    server.batches[0].answer([b"a", b"b", b"c"])
    assert [len(batch.commands()) for batch in server.batches[1:]] == [3, 3, 3, 6]
    assert [await one for one in asked[:3]] == [b"a", b"b", b"c"]


async def test_a_batch_that_fails_just_when_the_next_is_due_leaves_no_empty_one() -> None:
    server = HeldServer()
    reads = reading(server)
    first = reads.read("first")
    await turns()
    second = reads.read("second")
    server.batches[0].fail(ConnectionError())
    with pytest.raises(ConnectionError):
        await first
    await turns()
    assert len(server.batches) == 2
    server.batches[1].answer([[b"value"]])
    assert await second == Reading(b"value", None)


@pytest.mark.parametrize("replies", [[None], [[b"one too", b"many"]], [[]], [b"no list"], [7]])
async def test_what_cannot_be_the_reply_does_not_fit(replies: list[Any]) -> None:
    server = HeldServer()
    reading(server).read("key")
    await turns()
    assert not server.batches[0].fits(replies)
    assert server.batches[0].fits([[None]])


async def test_one_reader_that_fails_takes_nobody_along(caplog: pytest.LogCaptureFixture) -> None:
    server = HeldServer()
    reads = reading(server)

    def failing(_: object) -> None:
        raise KeyError("bug")

    reads.ask("first", failing)
    second = reads.read("second")
    await turns()
    server.batches[0].answer([[b"a", b"b"]])
    assert await second == Reading(b"b", None)
    assert "the reader of a key failed" in caplog.text


async def test_a_bug_reaches_the_callers_as_what_it_is() -> None:
    server = HeldServer()
    found = reading(server).read("key")
    await turns()
    server.batches[0].fail(KeyError("bug"))
    with pytest.raises(KeyError):
        await found
