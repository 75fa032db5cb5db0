"""Which upload gives way where a worker has no memory for another."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from service.core import uploads as module
from service.core.errors import PicturesBusy
from service.core.models import Session
from service.core.uploads import Uploads
from tests.support.limits import MemoryLimits

ROOM = 1_000_000
RATE = module._LEAST_RATE
PATIENCE = module._PATIENCE_SECONDS


def session_of(openid: str) -> Session:
    return Session("handle", "wx", openid, None, "default", "user", 0, 1, "", "digest")


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def uploads(clock: Clock) -> Uploads:
    del clock
    nobody: Any = None  # asked only where a user has two of them
    return Uploads(MemoryLimits(), nobody, most_bytes=ROOM)


async def stalled(uploads: Uploads, user: str, size: int) -> asyncio.Task[None]:
    """An upload of which so many bytes came at once, and no more; fails with what it raises."""

    async def stall() -> None:
        async with uploads.admit(session_of(user)) as upload, upload.coming():
            upload.grow(size)
            kept.set()
            await asyncio.Event().wait()

    kept = asyncio.Event()
    stalling = asyncio.create_task(stall())
    await kept.wait()
    return stalling


async def test_who_stalls_gives_way_whatever_came_before(uploads: Uploads, clock: Clock) -> None:
    slow = await stalled(uploads, "alice", ROOM)
    async with uploads.admit(session_of("bob")) as other:
        clock.now += PATIENCE * 0.9
        with pytest.raises(PicturesBusy):
            other.grow(1)
        clock.now += PATIENCE * 0.2
        other.grow(ROOM)
        with pytest.raises(PicturesBusy):
            await slow
        assert uploads.bytes_left == 0
    assert uploads.bytes_left == ROOM


async def test_who_comes_slowly_but_steadily_does_not(uploads: Uploads, clock: Clock) -> None:
    async with (
        uploads.admit(session_of("bob")) as other,
        uploads.admit(session_of("alice")) as slow,
        slow.coming(),
    ):
        for _ in range(ROOM // RATE):
            slow.grow(RATE)
            clock.now += 1
            with pytest.raises(PicturesBusy):
                other.grow(ROOM)


async def test_drops_do_not_make_up_for_that(uploads: Uploads, clock: Clock) -> None:
    dripped = asyncio.Event()

    async def drip() -> None:
        async with uploads.admit(session_of("alice")) as upload, upload.coming():
            upload.grow(ROOM // 2)
            for _ in range(30):
                clock.now += 0.1
                upload.grow(1)
            dripped.set()
            await asyncio.Event().wait()

    dripping = asyncio.create_task(drip())
    await dripped.wait()
    async with uploads.admit(session_of("bob")) as other:
        other.grow(ROOM)
        with pytest.raises(PicturesBusy):
            await dripping


async def test_the_worst_goes_first_and_no_more_than_needed(uploads: Uploads, clock: Clock) -> None:
    slow = []
    for user in ("alice", "bob", "carol"):
        slow.append(await stalled(uploads, user, ROOM // 3))
        clock.now += 0.1
    clock.now += PATIENCE
    async with uploads.admit(session_of("dave")) as other:
        other.grow(ROOM // 2)
        done, pending = await asyncio.wait(slow, timeout=0.05)
        assert (done, pending) == (set(slow[:2]), {slow[2]})
        assert {type(one.exception()) for one in done} == {PicturesBusy}
    slow[2].cancel()
    await asyncio.wait(pending)


async def test_who_waits_to_be_decoded_keeps_the_memory(uploads: Uploads, clock: Clock) -> None:
    async with (
        uploads.admit(session_of("alice")) as whole,
        uploads.admit(session_of("bob")) as other,
    ):
        async with whole.coming():
            whole.grow(ROOM)
        clock.now += 100
        with pytest.raises(PicturesBusy):
            other.grow(1)


async def test_who_gave_way_with_the_last_byte_is_not_taken(uploads: Uploads, clock: Clock) -> None:
    async with uploads.admit(session_of("bob")) as other:
        with pytest.raises(PicturesBusy):  # noqa: PT012 # the block is what fails
            async with uploads.admit(session_of("alice")) as upload, upload.coming():
                upload.grow(ROOM)
                clock.now += PATIENCE + 1
                other.grow(ROOM)
        assert uploads.bytes_left == 0
