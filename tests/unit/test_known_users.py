"""Questions of one moment go to the database together; none is answered with another's row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from service.sql import known_users
from service.sql.known_users import KnownUsers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from service.sql.known_users import Name


class Away(Exception):
    """What a database raises."""


class Remote:
    """A database that answers when it is told to, and knows everybody whose openid is no x."""

    is_remote = True

    def __init__(self) -> None:
        self.asked: list[set[Name]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def read(self, question: Callable[[Any], Any]) -> Any:
        return await self._answer(question(None))

    async def first(self, _: object, *, appid: str, openid: str) -> Any:
        return (await self._answer({(appid, openid)})).get((appid, openid))

    async def _answer(self, names: set[Name]) -> dict[Name, str]:
        self.asked.append(names)
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return {name: "/".join(name) for name in names if name[1] != "x"}


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Remote:
    def by_openids(_: object, names: Collection[Name]) -> set[Name]:
        return set(names)

    monkeypatch.setattr(known_users, "by_openids", by_openids)
    return Remote()


@pytest.fixture
def users(remote: Remote) -> KnownUsers:
    database: Any = remote
    return KnownUsers(database)


def find(users: KnownUsers, *openids: str, appid: str = "a") -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(users.find(appid, openid)) for openid in openids]


async def turns() -> None:
    """Whatever is ready is done."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_of_one_moment_are_one_question(remote: Remote, users: KnownUsers) -> None:
    asking = [*find(users, "1", "2", "x", "2"), *find(users, "1", appid="b")]
    await turns()
    assert remote.asked == [{("a", "1"), ("a", "2"), ("a", "x"), ("b", "1")}]
    remote.answers[0].set_result(None)
    assert await asyncio.gather(*asking) == ["a/1", "a/2", None, "a/2", "b/1"]


async def test_while_two_are_under_way_the_rest_gather(remote: Remote, users: KnownUsers) -> None:
    asking = []
    for openid in ("1", "2", "3", "4", "5"):
        asking += find(users, openid)
        await turns()
    assert remote.asked == [{("a", "1")}, {("a", "2")}]
    remote.answers[1].set_result(None)
    await turns()
    assert remote.asked[2:] == [{("a", "3"), ("a", "4"), ("a", "5")}]
    for answer in (remote.answers[0], remote.answers[2]):
        answer.set_result(None)
    assert await asyncio.gather(*asking) == ["a/1", "a/2", "a/3", "a/4", "a/5"]


async def test_no_question_is_larger_than_that(
    remote: Remote, users: KnownUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_users, "_MOST", 2)
    asking = find(users, "1", "2", "3", "4", "5")
    await turns()
    for number in range(3):
        remote.answers[number].set_result(None)
        await turns()
    assert sorted(map(len, remote.asked)) == [1, 2, 2]
    assert await asyncio.gather(*asking) == ["a/1", "a/2", "a/3", "a/4", "a/5"]


async def test_who_gives_up_takes_nobody_along(remote: Remote, users: KnownUsers) -> None:
    gone, stays = find(users, "1", "2")
    await turns()
    gone.cancel()
    await turns()
    remote.answers[0].set_result(None)
    assert await stays == "a/2"


async def test_for_who_has_given_up_before_nobody_asks(
    remote: Remote, users: KnownUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_users, "_MOST", 2)
    under_way = find(users, "1", "2")
    await turns()
    under_way += find(users, "3", "4")
    await turns()
    waiting = find(users, "5", "6", "7", "8")
    await turns()
    for one in waiting[:3]:
        one.cancel()
    await turns()
    remote.answers[0].set_result(None)
    await turns()
    assert remote.asked[2:] == [{("a", "8")}]
    for answer in remote.answers[1:]:
        answer.set_result(None)
    assert await waiting[3] == "a/8"
    await asyncio.gather(*under_way)


async def test_a_fault_is_that_of_all_who_waited_and_of_nobody_later(
    remote: Remote, users: KnownUsers
) -> None:
    asking = []
    for openid in ("1", "2", "3"):
        asking += find(users, openid)
        await turns()
    remote.answers[0].set_exception(Away())
    await turns()
    assert [one.done() for one in asking] == [True, False, True]
    for one in (asking[0], asking[2]):
        with pytest.raises(Away):
            await one
    remote.answers[1].set_result(None)
    assert await asking[1] == "a/2"
    later = find(users, "4", "5")
    await turns()
    remote.answers[2].set_result(None)
    assert await asyncio.gather(*later) == ["a/4", "a/5"]
