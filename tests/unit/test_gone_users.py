"""Whose sessions end because the user is gone, and whose do not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from service.core import gone_users
from service.core.errors import SessionStoreUnavailable, UserStoreUnavailable
from service.core.gone_users import GoneUsers
from service.core.lately_seen import LatelySeen
from service.core.models import Session
from service.core.throttled_log import ThrottledLog
from tests.support.clock import Clock
from tests.support.events import RecordedEvents

if TYPE_CHECKING:
    from collections.abc import Collection


class Users:
    """A user table, which may be away."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)
        self.asked: list[set[str]] = []
        self.is_away = False

    async def existing(self, user_ids: Collection[str]) -> set[str]:
        self.asked.append(set(user_ids))
        if self.is_away:
            raise UserStoreUnavailable
        return self.there & set(user_ids)


class Sessions:
    """Sessions that end when they are told to, unless they have by themselves."""

    def __init__(self) -> None:
        self.ended = Counter[str]()
        self.is_away = False

    async def revoke_digest(self, handle: str, digest: str) -> bool:
        if self.is_away:
            raise SessionStoreUnavailable
        self.ended[handle] += 1
        return digest != "replaced"


class Scene:
    def __init__(self, *there: str) -> None:
        self.seen = LatelySeen()
        self.users, self.sessions, self.events = Users(*there), Sessions(), RecordedEvents()
        users: Any = self.users
        sessions: Any = self.sessions
        self.gone = GoneUsers(self.seen, users, sessions, self.events, ThrottledLog("users"))

    def check(self, user_id: str, *, digest: str = "digest") -> None:
        """A check of a session of this user, as RedisSessions notes it."""
        if user_id not in self.seen.users:
            session = Session(
                f"handle of {user_id}", "wx", "o", None, "phone", user_id, 0, 60, "", digest
            )
            self.seen.add(session)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(gone_users, "time", clock)
    return clock


async def test_the_session_of_a_user_who_is_gone_ends_and_the_others_live(clock: Clock) -> None:
    scene = Scene("alice")
    for name in ("alice", "bob"):
        scene.check(name)
    await scene.gone.ask()
    assert not scene.sessions.ended  # asked once is not enough
    clock.now += 4
    await scene.gone.ask()
    assert scene.sessions.ended == {"handle of bob": 1}
    [event] = scene.events.told
    assert (event.event, event.user, event.handle, event.reason) == (
        "expired",
        "bob",
        "handle of bob",
        "user_gone",
    )
    assert (event.appid, event.device) == ("wx", "phone")


async def test_who_was_not_found_at_once_but_then_is_not_taken_for_gone(clock: Clock) -> None:
    """A database may lag behind a login that has just made them."""
    scene = Scene()
    scene.check("alice")
    await scene.gone.ask()
    scene.users.there.add("alice")
    clock.now += 4
    await scene.gone.ask()
    assert not scene.sessions.ended


async def test_the_second_question_comes_seconds_later(clock: Clock) -> None:
    scene = Scene()
    scene.check("alice")
    for _ in range(3):
        await scene.gone.ask()
        clock.now += 0.9
    assert len(scene.users.asked) == 1


async def test_without_the_database_nothing_ends_and_later_it_does(clock: Clock) -> None:
    scene = Scene()
    scene.check("alice")
    scene.users.is_away = True
    for _ in range(5):
        with pytest.raises(UserStoreUnavailable):
            await scene.gone.ask()
        clock.now += 10
    assert not scene.sessions.ended
    scene.users.is_away = False
    await scene.gone.ask()
    scene.users.is_away = True
    clock.now += 10
    with pytest.raises(UserStoreUnavailable):
        await scene.gone.ask()
    assert not scene.sessions.ended
    scene.users.is_away = False
    await scene.gone.ask()
    assert scene.sessions.ended == {"handle of alice": 1}


async def test_without_redis_it_is_tried_again(clock: Clock) -> None:
    scene = Scene()
    scene.check("alice")
    await scene.gone.ask()
    scene.sessions.is_away = True
    clock.now += 4
    with pytest.raises(SessionStoreUnavailable):
        await scene.gone.ask()
    assert not scene.events.told
    scene.sessions.is_away = False
    await scene.gone.ask()
    assert scene.sessions.ended == {"handle of alice": 1}


async def test_a_session_that_has_been_replaced_meanwhile_is_no_event(clock: Clock) -> None:
    scene = Scene()
    scene.check("alice", digest="replaced")
    await scene.gone.ask()
    clock.now += 4
    await scene.gone.ask()
    assert scene.sessions.ended
    assert not scene.events.told


async def test_a_user_is_asked_about_once_in_a_generation_or_two(clock: Clock) -> None:
    scene = Scene("alice")
    for _ in range(100):  # for 100 seconds
        scene.check("alice")
        await scene.gone.ask()
        clock.now += 1
    assert len(scene.users.asked) == 1
    for _ in range(100):
        scene.check("alice")
        await scene.gone.ask()
        clock.now += 1
    assert len(scene.users.asked) == 2


async def test_five_hundred_go_in_one_question(clock: Clock) -> None:
    scene = Scene(*(str(number) for number in range(1200)))
    for number in range(1200):
        scene.check(str(number))
    for _ in range(4):
        await scene.gone.ask()
        clock.now += 1
    assert [len(asked) for asked in scene.users.asked] == [500, 500, 200]


async def test_what_waits_is_bounded_and_who_was_dropped_comes_up_again() -> None:
    scene = Scene()
    for number in range(6000):
        scene.check(str(number))
    assert len(scene.seen.users) == 5000
    scene.seen.take(500)
    scene.check("5999")
    assert "5999" in scene.seen.users


async def test_what_is_remembered_is_bounded() -> None:
    scene = Scene()
    for number in range(200_000):
        scene.check(str(number))
        scene.seen.take(500)
    assert len(scene.seen.users) <= 60_000
    assert "199999" in scene.seen.users
