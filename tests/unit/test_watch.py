"""A worker looks at what it leans on by itself, and more often while something is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.core import watch
from service.core.outage import Outages
from service.core.request_info import current_request
from service.core.watch import Watch
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


class Somebody:
    """A request."""

    request_id = "canary"
    client_address = None


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., None]]:
    started: list[Watch] = []

    def start(outages: Outages, *looks: Callable[[], Awaitable[object]]) -> None:
        one = Watch(outages, looks)
        started.append(one)
        one.start()

    yield start
    for one in started:
        await one.aclose()


async def test_what_is_away_is_looked_at_more_often(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(watch, "AWAY_SECONDS", 0.005)
    outages = Outages()
    redis = outages.of("redis")
    looks: list[bool] = []

    async def look() -> None:
        looks.append(redis.lasts)
        redis.failed("health", "ConnectionError")

    start(outages, look)
    await eventually(lambda: len(looks) > 20, within=10, what="it has looked often")
    assert looks[:2] == [False, True]


async def test_a_look_that_fails_ends_neither_the_others_nor_the_next(
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.005)
    told: list[object] = []

    async def look() -> None:
        told.append(current_request.get())

    async def broken() -> None:
        raise TypeError("a bug")

    former = current_request.set(Somebody())
    start(Outages(), broken, look)
    current_request.reset(former)
    await eventually(lambda: len(told) > 3, within=10, what="it has looked again")
    assert set(told) == {None}, "a look is of no request"
    assert "TypeError: a bug" in caplog.text


async def test_it_ends_in_the_midst_of_a_look() -> None:
    looking = asyncio.Event()

    async def look() -> None:
        looking.set()
        await asyncio.sleep(3600)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "LOOK_SECONDS", 0.001)
        one = Watch(Outages(), [look])
        one.start()
        await looking.wait()
        async with asyncio.timeout(5):
            await one.aclose()
