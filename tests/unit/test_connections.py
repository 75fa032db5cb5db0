"""Who goes when there is no room for another connection."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from service.http import connections
from service.http.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fake:
    """A connection, since `since` at what it is at."""

    def __init__(self, since: float, *, waits: bool = True, unsent: int = 0) -> None:
        self.since = since
        self.waits = waits
        self.unsent = unsent
        self.is_late = False
        self.looks = 0
        self.leaves = 0
        self.is_cut = False

    def waiting_since(self) -> float | None:
        return self.since if self.waits else None

    def look(self, now: float) -> bool:
        assert now > 0
        self.looks += 1
        return self.is_late

    def leave(self, now: float, told: float) -> None:
        assert now >= told
        self.leaves += 1

    def cut(self) -> None:
        self.is_cut = True
        self.waits = False
        self.unsent = 0


def full(*fakes: Fake) -> Connections:
    room = Connections(len(fakes))
    for one in fakes:
        room.add(one)
    assert not any(one.is_cut for one in fakes)
    return room


def test_the_one_goes_that_has_kept_it_waiting_longest(caplog: pytest.LogCaptureFixture) -> None:
    fakes = [Fake(3), Fake(1), Fake(2)]
    room = full(*fakes)
    new = Fake(0)
    room.add(new)
    assert [one.is_cut for one in (*fakes, new)] == [False, True, False, False]
    room.add(Fake(9))
    assert caplog.messages == [
        "connections: keeping more than 3 failed: there is no room; cut 1 that waited longest"
    ]


def test_who_is_being_answered_stays_and_the_new_one_goes() -> None:
    fakes = [Fake(1, waits=False), Fake(2, waits=False)]
    room = full(*fakes)
    new = Fake(3)
    room.add(new)
    assert [one.is_cut for one in (*fakes, new)] == [False, False, True]


def test_in_a_crowd_several_go_at_once() -> None:
    fakes = [Fake(since) for since in range(640)]
    full(*fakes).add(Fake(9999))
    assert [one.since for one in fakes if one.is_cut] == list(range(11))


def test_there_is_room_again_when_one_is_closed() -> None:
    first = Fake(1)
    room = full(first, Fake(2))
    room.discard(first)
    room.add(Fake(3))
    assert not first.is_cut


def test_where_answers_lie_who_waits_longest_for_theirs_goes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_MOST_UNSENT", 100)
    monkeypatch.setattr(connections, "_LESS", 80)
    idle, busy = Fake(0), Fake(0, waits=False, unsent=30)
    lying = [Fake(3, unsent=20), Fake(1, unsent=20), Fake(2, unsent=20)]
    new = Fake(4)
    room = full(idle, busy, *lying, new)
    room.make_room(100)
    assert not any(one.is_cut for one in (*lying, idle, busy, new))
    new.unsent = 20
    room.make_room(20)
    assert [one.is_cut for one in (*lying, idle, busy, new)] == [False, True, True] + [False] * 3
    assert caplog.messages == [
        "connections: more than 0 MB of answers that are not taken: cut 2 that waited longest"
    ]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connections]:
    """Looked at a hundred times a second."""
    monkeypatch.setattr(connections, "_INTERVAL_SECONDS", 0.01)
    room = Connections(9)
    yield room
    room.stop()


async def test_all_are_looked_at_again_and_again_until_it_stops(often: Connections) -> None:
    fakes = [Fake(1), Fake(2, waits=False)]
    for one in fakes:
        often.add(one)
    often.start()
    async with asyncio.timeout(5):
        while min(one.looks for one in fakes) < 3:
            await asyncio.sleep(0.005)
    often.stop()
    before = [one.looks for one in fakes]
    await asyncio.sleep(0.05)
    assert [one.looks for one in fakes] == before


async def test_answers_that_were_not_taken_are_told_of_once_and_as_no_failure(
    often: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    fakes = [Fake(1), Fake(2)]
    for one in fakes:
        one.is_late = True
        often.add(one)
    often.start()
    async with asyncio.timeout(5):
        while min(one.looks for one in fakes) < 3:
            await asyncio.sleep(0.005)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "connections: answers that were not taken in time: cut 2")
    ]


async def test_without_a_descriptor_those_that_wait_go_and_it_is_said_once(
    often: Connections, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    fakes = [Fake(1), Fake(2, waits=False)]
    for one in fakes:
        often.add(one)
    often.start()
    async with asyncio.timeout(5):
        while fakes[1].looks < 3:
            await asyncio.sleep(0.005)
    assert [one.is_cut for one in fakes] == [True, False]
    assert caplog.messages == [
        "connections: accept failed: Too many open files; cut 1 that waited longest"
    ]


class Leaving(Fake):
    """One that goes when it was told so often."""

    def __init__(self, room: Connections, *, times: int) -> None:
        super().__init__(0)
        self._room = room
        self._times = times

    def leave(self, now: float, told: float) -> None:
        super().leave(now, told)
        if self.leaves == self._times:
            self._room.discard(self)


async def test_a_drain_is_over_when_all_have_gone(caplog: pytest.LogCaptureFixture) -> None:
    room = Connections(9)
    leaving = [Leaving(room, times=times) for times in (1, 3)]
    for one in leaving:
        room.add(one)
    async with asyncio.timeout(5):
        await room.drain()
    assert [one.leaves for one in leaving] == [1, 3]
    assert room.leaving
    assert not any(one.is_cut for one in leaving)
    assert not caplog.messages


async def test_a_drain_cuts_who_does_not_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_LONGEST_DRAIN", 0.1)
    room = full(Fake(1), staying := Fake(2, waits=False))
    await room.drain()
    assert staying.is_cut
    assert caplog.messages == ["cut 2 connections that were not done in time"]
