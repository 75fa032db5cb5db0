"""Reads that go together, where a real Redis would not fail in the very turn that matters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from service.redis.batching import ReadBatcher, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence


class HeldServer:
    """Answers each batch when it is told to."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], asyncio.Future[Any]]] = []

    async def fetch(self, keys: Sequence[str]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.batches.append((list(keys), answer))
        return await answer


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_batch_that_fails_just_when_the_next_is_due_leaves_no_empty_one() -> None:
    server = HeldServer()
    reads = ReadBatcher(server.fetch, with_ttl=False, timeout=5.0)
    first = reads.read("first")
    await turns()
    server.batches[0][1].set_exception(ConnectionError())
    # The failure is noticed in the next turn, ahead of the batch that this schedules for it.
    second = reads.read("second")
    await turns()
    for refused in (first, second):
        with pytest.raises(ConnectionError):
            await refused
    third = reads.read("third")
    await turns()
    assert [keys for keys, _ in server.batches] == [["first"], ["third"]]
    server.batches[1][1].set_result([b"value"])
    assert await third == Reading(b"value", None)


async def test_a_bug_reaches_the_callers_as_what_it_is() -> None:
    async def fetch(_: Sequence[str]) -> Any:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await ReadBatcher(fetch, with_ttl=False, timeout=5.0).read("key")
