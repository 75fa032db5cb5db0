"""Who waits for a connection to the database, and until when."""

from __future__ import annotations

import asyncio
import time

import pytest

from service.sql.places import Places


async def hold(places: Places, seconds: float) -> float:
    """How long it took to have a place for so long."""
    began = time.monotonic()
    async with places.one():
        await asyncio.sleep(seconds)
    return time.monotonic() - began


async def test_a_rush_is_waited_out_in_turn() -> None:
    places = Places(2, patience=0.3, longest=60)
    done: list[int] = []

    async def take(number: int) -> float:
        took = await hold(places, 0.1)
        done.append(number)
        return took

    took = await asyncio.gather(*(take(number) for number in range(20)))
    assert done == sorted(done)
    assert max(took) > 0.9  # three times as long as anybody would wait where nobody is answered


async def test_where_nobody_is_answered_all_who_wait_are_told_at_once() -> None:
    places = Places(2, patience=0.2, longest=60)
    holders = [asyncio.create_task(hold(places, 60)) for _ in range(2)]
    began = time.monotonic()
    told = await asyncio.gather(*(hold(places, 0) for _ in range(50)), return_exceptions=True)
    assert {str(one) for one in told} == {"the pool is exhausted: all 2 are busy"}
    assert all(isinstance(one, TimeoutError) for one in told)
    assert time.monotonic() - began < 2
    for holder in holders:
        holder.cancel()
    await asyncio.gather(*holders, return_exceptions=True)
    assert await hold(places, 0) < 1  # nothing of it is left


async def test_nobody_waits_longer_than_they_have_time() -> None:
    places = Places(1, patience=60, longest=0.2)
    holder = asyncio.create_task(hold(places, 60))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await hold(places, 0)
    holder.cancel()


async def test_who_goes_leaves_their_place_to_the_others() -> None:
    places = Places(3, patience=60, longest=60)
    for _ in range(200):
        waiting = [asyncio.create_task(hold(places, 0)) for _ in range(12)]
        for _ in range(len(waiting) % 5):
            await asyncio.sleep(0)
        for one in waiting[::2]:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    together = asyncio.Barrier(3)

    async def meet() -> None:
        async with places.one():
            await together.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(*(meet() for _ in range(3)))  # there are still three
