"""Logins that meet in PostgreSQL: at each statement of one, another comes in between.

SQLite is not here: its changes take turns from their first statement on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.util import await_only

from service.core.errors import LoginTooOld, PhoneTaken
from service.core.models import DeletedUser, Phone, UserMatch
from service.sql.migrate import upgrade
from tests.contracts.test_user_store import OTHER_APP, identity, make_store, opened
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service.sql.database import SqlDatabase
    from service.sql.users import SqlUsers
    from tests.support.postgres import Postgres

    Action = Callable[[SqlUsers, int], Awaitable[Any]]

_WAITING = text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@dataclass
class Halt:
    """Stops a database before one of its statements, in the midst of a transaction."""

    step: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, *_: object) -> None:
        self.step -= 1
        if self.step == 0:
            self.reached.set()
            await_only(self.over.wait())


@dataclass
class Meeting:
    """Two workers at one database, and somebody who watches them."""

    stopped: Any
    passing: SqlDatabase
    watcher: SqlDatabase

    async def at(self, step: int, one: Action, other: Action) -> list[object] | None:
        """What both were told when `other` came before that statement of `one`; None past its end.

        `other` goes on until it is done or waits for `one`.
        """
        halt = Halt(step)
        event.listen(self.stopped._engine.sync_engine, "before_cursor_execute", halt)
        try:
            first = asyncio.ensure_future(one(make_store(self.stopped), step))
            while not (first.done() or halt.reached.is_set()):
                await asyncio.sleep(0.001)
            second = asyncio.ensure_future(other(make_store(self.passing), step))
            while not (second.done() or await self._somebody_waits()):
                await asyncio.sleep(0.01)
            halt.over.set()
            told = list(await asyncio.gather(first, second, return_exceptions=True))
        finally:
            event.remove(self.stopped._engine.sync_engine, "before_cursor_execute", halt)
        return told if halt.reached.is_set() else None

    async def everywhere(self, one: Action, other: Action) -> list[list[object]]:
        """The same for each statement of `one`; `step` tells the people apart."""
        every: list[list[object]] = []
        for step in count(1):
            told = await self.at(step, one, other)
            if told is None:
                return every
            every.append(told)
        raise AssertionError

    async def _somebody_waits(self) -> bool:
        return bool(await self.watcher.read(lambda db: db.execute(_WAITING).first()))


@pytest.fixture
async def meeting(postgres: Postgres) -> AsyncIterator[Meeting]:
    address = postgres.database()
    async with opened(address) as one, opened(address) as other, opened(address) as watcher:
        await upgrade(watcher)
        for database in (one, other):
            await make_store(database).get("nobody")  # a first connection has statements of its own
        yield Meeting(one, other, watcher)


def number(person: int) -> Phone:
    return Phone(f"+86 138{person:08}")


def by_phone(app: str, openid: str, *, union: bool) -> Action:
    def log_in(store: SqlUsers, person: int) -> Awaitable[UserMatch]:
        who = identity(f"{openid}{person}", f"u{person}" if union else None)
        return store.find_or_create_with_phone(app, who, number(person))

    return log_in


def ordinary(app: str, openid: str) -> Action:
    def log_in(store: SqlUsers, person: int) -> Awaitable[UserMatch]:
        return store.find_or_create(app, identity(f"{openid}{person}", f"u{person}"))

    return log_in


HERE = by_phone(APPID, "oHere", union=True)


@pytest.mark.parametrize("which", ["stopped", "passing"])
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ordinary(OTHER_APP, "oThere"), id="elsewhere"),
        pytest.param(by_phone(OTHER_APP, "oThere", union=True), id="elsewhere by phone"),
        pytest.param(by_phone(OTHER_APP, "oThere", union=False), id="elsewhere by phone alone"),
        pytest.param(ordinary(APPID, "oHere"), id="here"),
        pytest.param(HERE, id="here by phone"),
    ],
)
async def test_a_person_who_logs_in_twice_at_once_has_one_account_with_their_number(
    meeting: Meeting, other: Action, which: str
) -> None:
    pair = (HERE, other) if which == "stopped" else (other, HERE)
    every = await meeting.everywhere(*pair)
    assert len(every) > 3
    for person, told in enumerate(every, 1):
        arrivals = [one for one in told if isinstance(one, UserMatch)]
        assert len(arrivals) == 2, (person, told)
        assert len({one.user.id for one in arrivals}) == 1, person
        assert [one.is_new for one in arrivals].count(True) == 1
        now = await make_store(meeting.watcher).get(arrivals[0].user.id)
        assert now is not None
        assert now.phone == number(person)


async def test_two_strangers_with_one_number_are_never_one_account(meeting: Meeting) -> None:
    for told in await meeting.everywhere(
        by_phone(APPID, "oA", union=True), by_phone(APPID, "oB", union=False)
    ):
        assert {type(one) for one in told} == {UserMatch, PhoneTaken}


async def test_who_joins_by_number_while_the_owner_arrives_is_not_in_their_way(
    meeting: Meeting,
) -> None:
    store = make_store(meeting.watcher)
    owners = [
        (await by_phone(OTHER_APP, "oOwner", union=True)(store, person)).user.id
        for person in range(1, 20)
    ]
    every = await meeting.everywhere(
        by_phone(APPID, "oStranger", union=False), ordinary(APPID, "oOwner")
    )
    for owner, (stranger, arrived) in zip(owners, every, strict=False):
        assert isinstance(arrived, UserMatch)
        assert arrived.user.id == owner
        # Before the owner, or after them: never an account of their own with the number.
        assert isinstance(stranger, PhoneTaken) or (
            isinstance(stranger, UserMatch) and stranger.user.id == owner
        )


async def test_a_user_who_is_deleted_during_their_phone_login_comes_back_as_somebody_new(
    meeting: Meeting,
) -> None:
    before = (await make_store(meeting.watcher).find_or_create(APPID, identity("oHere2"))).user
    told = await meeting.at(
        2,  # its first statement has passed, and has locked nothing of the user's
        by_phone(APPID, "oHere", union=False),
        lambda store, _: store.delete(before.id),
    )
    assert told is not None
    arrival, deleted = told
    assert isinstance(deleted, DeletedUser)
    assert isinstance(arrival, UserMatch)
    assert arrival.is_new
    assert arrival.user.id != before.id
    assert arrival.user.phone == number(2)


@pytest.mark.parametrize("which", ["login stopped", "deletion stopped"])
async def test_a_login_and_a_deletion_that_meet_are_both_done(meeting: Meeting, which: str) -> None:
    """They take their locks in one order: else PostgreSQL ends one of them after a second."""
    store = make_store(meeting.watcher)
    people = [(await HERE(store, person)).user for person in range(20)]

    def delete(store: SqlUsers, person: int) -> Awaitable[DeletedUser | None]:
        return store.delete(people[person].id)

    pair = (HERE, delete) if which == "login stopped" else (delete, HERE)
    every = await meeting.everywhere(*pair)
    assert len(every) >= 4
    for person, told in enumerate(every, start=1):
        arrival, departure = told if pair[0] is HERE else reversed(told)
        assert isinstance(departure, DeletedUser)
        assert departure.identities
        assert isinstance(arrival, UserMatch)
        stands = await store.get(arrival.user.id)
        assert stands is None if arrival.user.id == people[person].id else arrival.is_new


def bound(people: list[str], *, proven: bool, to: str = "138", may_change: bool = True) -> Action:
    """Each person's user is given the number that is theirs, or another one of theirs."""

    def bind(store: SqlUsers, person: int) -> Awaitable[Any]:
        phone = Phone(f"+86 {to}{person:08}")
        return store.bind_phone(people[person], phone, proven=proven, may_change=may_change)

    return bind


async def made(meeting: Meeting, openid: str, app: str = APPID, people: int = 20) -> list[str]:
    store = make_store(meeting.watcher)
    arrivals = [
        await store.find_or_create(app, identity(f"{openid}{person}")) for person in range(people)
    ]
    return [one.user.id for one in arrivals]


async def number_of(meeting: Meeting, user_id: str) -> Phone | None:
    user = await make_store(meeting.watcher).get(user_id)
    assert user is not None
    return user.phone


@pytest.mark.parametrize("which", ["login stopped", "binding stopped"])
@pytest.mark.parametrize("app", [APPID, OTHER_APP])
async def test_who_binds_a_number_while_its_holder_comes_with_a_code_does_not_get_it(
    meeting: Meeting, app: str, which: str
) -> None:
    squatters = await made(meeting, "oMallory")
    squat, arrive = bound(squatters, proven=False), by_phone(app, "oVictim", union=False)
    pair = (arrive, squat) if which == "login stopped" else (squat, arrive)
    every = await meeting.everywhere(*pair)
    assert len(every) > 3
    for person, told in enumerate(every, start=1):
        arrival, squatted = told if pair[0] is arrive else reversed(told)
        assert isinstance(arrival, UserMatch), told
        assert arrival.is_new
        assert arrival.user.id != squatters[person]
        assert isinstance(squatted, PhoneTaken) or squatted.phone == number(person)  # type: ignore[attr-defined]
        assert await number_of(meeting, arrival.user.id) == number(person)
        assert await number_of(meeting, squatters[person]) is None


@pytest.mark.parametrize("proven", [True, False])
async def test_of_two_first_numbers_by_old_logins_one_is_bound(
    meeting: Meeting,
    proven: bool,  # noqa: FBT001 # a parameter
) -> None:
    """Each login sees no number, so only the transaction can tell that the other's is there."""
    people = await made(meeting, "oTwice")
    every = await meeting.everywhere(
        bound(people, proven=proven, may_change=False),
        bound(people, proven=proven, may_change=False, to="139"),
    )
    assert len(every) > 3
    for person, told in enumerate(every, start=1):
        assert sorted(type(one).__name__ for one in told) == ["LoginTooOld", "User"], told
        [first] = [one for one in told if not isinstance(one, LoginTooOld)]
        assert await number_of(meeting, people[person]) == first.phone  # type: ignore[attr-defined]


async def test_two_who_prove_each_others_number_swap_them(meeting: Meeting) -> None:
    """They take their locks in one order: else PostgreSQL ends one of them after a second."""
    a, b = await made(meeting, "oA"), await made(meeting, "oB")
    store = make_store(meeting.watcher)
    for person in range(20):
        for people, to in ((a, "138"), (b, "139")):
            await bound(people, proven=False, to=to)(store, person)
    every = await meeting.everywhere(bound(a, proven=True, to="139"), bound(b, proven=True))
    assert len(every) > 3
    for person, told in enumerate(every, start=1):
        assert [type(one).__name__ for one in told] == ["User", "User"], told
        assert await number_of(meeting, a[person]) == Phone(f"+86 139{person:08}")
        assert await number_of(meeting, b[person]) == number(person)


@pytest.mark.parametrize("which", ["new number stopped", "old number stopped"])
async def test_a_person_who_comes_with_two_numbers_at_once_has_one_of_them(
    meeting: Meeting, which: str
) -> None:
    """The login by the new number gives up the old one, which the other login has locked."""
    store = make_store(meeting.watcher)
    people = [(await HERE(store, person)).user.id for person in range(20)]
    for person in range(20):
        await ordinary(OTHER_APP, "oThere")(store, person)

    def renew(store: SqlUsers, person: int) -> Awaitable[UserMatch]:
        who = identity(f"oHere{person}", f"u{person}")
        return store.find_or_create_with_phone(APPID, who, Phone(f"+86 139{person:08}"))

    old = by_phone(OTHER_APP, "oThere", union=True)
    every = await meeting.everywhere(*((renew, old) if which.startswith("new") else (old, renew)))
    assert len(every) > 3
    for person, told in enumerate(every, start=1):
        assert [type(one).__name__ for one in told] == ["UserMatch", "UserMatch"], told
        assert {one.user.id for one in told} == {people[person]}  # type: ignore[attr-defined]
        assert await number_of(meeting, people[person]) in (
            number(person),
            Phone(f"+86 139{person:08}"),
        )


@pytest.mark.parametrize("which", ["newcomer stopped", "owner stopped"])
async def test_who_is_known_by_another_unionid_joins_no_account_however_they_meet(
    meeting: Meeting, which: str
) -> None:
    """The number has changed hands; its former holder logs in as its new one comes."""
    store = make_store(meeting.watcher)
    for person in range(20):
        await by_phone(OTHER_APP, "oOwner", union=True)(store, person)

    def newcomer(store: SqlUsers, person: int) -> Awaitable[UserMatch]:
        who = identity(f"oNewcomer{person}", f"v{person}")
        return store.find_or_create_with_phone(APPID, who, number(person))

    owner = by_phone(OTHER_APP, "oOwner", union=True)
    pair = (newcomer, owner) if which == "newcomer stopped" else (owner, newcomer)
    every = await meeting.everywhere(*pair)
    assert len(every) > 3
    for told in every:
        refused, arrived = told if pair[0] is newcomer else reversed(told)
        assert isinstance(refused, PhoneTaken), told
        assert isinstance(arrived, UserMatch), told
