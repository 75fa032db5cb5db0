"""Reads that go together, where a real Redis would not fail in the very turn that matters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from service.core.errors import SessionStoreUnavailable
from service.redis.client import Keyspace
from service.redis.node import Primary
from service.redis.read_lane import Reading, ReadLane
from service.redis.topology import OnePrimary
from service.stores.outage import OutageLog

if TYPE_CHECKING:
    from collections.abc import Sequence


class HeldPrimary(Primary):
    """Answers each batch when it is told to."""

    def __init__(self) -> None:
        super().__init__(Redis())
        self.batches: list[tuple[list[str], asyncio.Future[Any]]] = []

    async def read(self, keys: Sequence[str], *, with_ttl: bool) -> Any:
        assert not with_ttl
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.batches.append((list(keys), answer))
        return await answer


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_batch_that_fails_just_when_the_next_is_due_leaves_no_empty_one() -> None:
    primary = HeldPrimary()
    keyspace = Keyspace(OnePrimary(primary), budget=5.0)
    lane = ReadLane(keyspace, primary, with_ttl=False, outage=OutageLog("redis"), tasks=set())
    first = lane.read("first")
    await turns()
    primary.batches[0][1].set_exception(ConnectionError())
    # The failure is noticed in the next turn, ahead of the batch that this schedules for it.
    second = lane.read("second")
    await turns()
    for refused in (first, second):
        with pytest.raises(SessionStoreUnavailable):
            await refused
    third = lane.read("third")
    await turns()
    assert [keys for keys, _ in primary.batches] == [["first"], ["third"]]
    primary.batches[1][1].set_result([b"value"])
    assert await third == Reading(b"value", None)
