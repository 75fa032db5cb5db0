"""Who somebody turns out to be: every row of the first table in ADR 0009, played."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, product
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import select

from service.core.errors import PhoneTaken
from service.core.models import Phone
from service.core.outage import Outage
from service.sql.schema import phones
from service.sql.users import SqlUsers
from service.stores.keyring import Keyring
from tests.contracts.test_user_store import OTHER_APP, address, database, identity
from tests.support.adr_tables import table_of
from tests.support.settings import APPID, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from service.core.models import User
    from service.sql.database import SqlDatabase

__all__ = ["address", "database"]  # the fixtures

FOREIGN_APP: Final = "wxforeign"
PLATFORMS: Final = {FOREIGN_APP: "another"}
ROWS: Final = table_of("0009", "openid")

UNIONIDS: Final[dict[str, list[tuple[str | None, str | None]]]] = {
    "none": [(None, "uTheirs"), ("uMine", None), (None, None)],
    "same": [("uTheirs", "uTheirs")],
    "different": [("uMine", "uTheirs")],
    "other platform": [("uMine", "uTheirs")],
}
"""What WeChat says of the caller, and what is known of the other account."""
PLACES: Final = ("theirs here", "theirs elsewhere")
NUMBERS: Final = {
    "not brought": ["not brought"],
    "nobody's": ["nobody's"],
    "own": ["own; proven", "own; bound"],
    **{
        f"{place}; {proof}": [f"{place}; {proof}"]
        for place in PLACES
        for proof in ("proven", "bound")
    },
}


@dataclass(frozen=True)
class Case:
    """One way to fill a row's cells in."""

    openid: str
    unionid: str
    number: str


def cases_of(row: dict[str, str]) -> Iterator[Case]:
    unionids = list(UNIONIDS) if row["unionid"] == "any" else row["unionid"].split(", ")
    places, _, proofs = row["the number"].partition("; ")
    numbers = [
        f"{place}; {proof}" if proof else place
        for place, proof in product(places.split(", "), proofs.split(", "))
    ]
    for unionid, number in product(unionids, numbers):
        yield Case(row["openid"], unionid, number)


def test_the_table_has_every_case_once() -> None:
    told = [case for row in ROWS for case in cases_of(row)]
    every = {
        Case(openid, unionid, number)
        for openid, unionid, number in product(("known", "unknown"), UNIONIDS, NUMBERS)
        if (openid, number) != ("unknown", "own")
    }
    assert len(told) == len(set(told))
    assert set(told) == every


@dataclass
class Scene:
    """Two people, one of whom has an account already, and a number."""

    store: SqlUsers
    person: int
    mine: str | None
    theirs: str | None
    number: str
    foreign: bool

    @property
    def phone(self) -> Phone:
        return Phone(f"+86 138{self.person:08}")

    def who(self, name: str, unionid: str | None) -> Any:
        return identity(f"o{name}{self.person}", unionid and f"{unionid}{self.person}")

    async def their_account(self) -> User:
        """An account from another mini-program, here as well or not, with the number or another."""
        app = FOREIGN_APP if self.foreign else OTHER_APP
        first = Phone(f"+86 139{self.person:08}")
        arrive = self.store.find_or_create_with_phone
        user = (await arrive(app, self.who("Theirs", self.theirs), first)).user
        if self.number.startswith("theirs here"):
            joined = await arrive(APPID, self.who("TheirsHere", None), first)
            assert joined.user.id == user.id
        if self.number.startswith("theirs"):
            return await self.bind(user, proven=self.number.endswith("proven"))
        return user

    async def own_account(self) -> User:
        user = (await self.store.find_or_create(APPID, self.who("Mine", None))).user
        if self.number.startswith("own"):
            return await self.bind(user, proven=self.number.endswith("proven"))
        return user

    async def bind(self, user: User, *, proven: bool) -> User:
        changed = await self.store.bind_phone(user.id, self.phone, proven=proven, may_change=True)
        assert changed is not None
        return changed

    async def log_in(self) -> User:
        return (await self.store.find_or_create(APPID, self.who("Mine", self.mine))).user

    async def log_in_by_phone(self) -> User:
        who = self.who("Mine", self.mine)
        return (await self.store.find_or_create_with_phone(APPID, who, self.phone)).user


@dataclass
class Play:
    """Plays one case, each time with people of its own."""

    database: SqlDatabase
    store: SqlUsers
    people: Iterator[int]

    async def expect(self, case: Case, way: str, expected: str) -> None:
        for (mine, theirs), number in product(UNIONIDS[case.unionid], NUMBERS[case.number]):
            foreign = case.unionid == "other platform"
            scene = Scene(self.store, next(self.people), mine, theirs, number, foreign)
            place = f"{scene} {way}"
            before = {"their": await scene.their_account()}
            if case.openid == "known":
                before["own"] = await scene.own_account()
            try:
                user = await self._act(scene, way, before)
            except PhoneTaken:
                assert expected == "409", place
                await self._nothing_changed(before)
                continue
            await self._is(scene, way, expected, user, before)

    async def _act(self, scene: Scene, way: str, before: dict[str, User]) -> User:
        acts: dict[str, Any] = {"log in": scene.log_in, "log in by code": scene.log_in_by_phone}
        if way in acts:
            act: Awaitable[User] = acts[way]()
            return await act
        user = await scene.log_in()
        assert user.id == before["own"].id
        return await scene.bind(user, proven=way == "bind by code")

    async def _nothing_changed(self, before: dict[str, User]) -> None:
        for user in before.values():
            assert await self.store.get(user.id) == user

    async def _is(
        self, scene: Scene, way: str, expected: str, user: User, before: dict[str, User]
    ) -> None:
        place = f"{scene} {way}: {expected}"
        whose, _, fate = expected.partition(" account ")
        whose = whose.removesuffix(" account")
        known = {one.id: name for name, one in before.items()}
        assert known.get(user.id, "new") == whose, place
        assert (user.phone == scene.phone) == bool(fate), place
        if fate == "takes it":
            loser = await self.store.get(before["their"].id)
            assert loser is not None
            assert loser.phone is None, place
            app = FOREIGN_APP if scene.foreign else OTHER_APP
            back = await self.store.find_or_create(app, scene.who("Theirs", scene.theirs))
            assert back.user.id == loser.id, place
        if fate:
            proven = way.endswith("by code") or scene.number == "own; proven"
            assert await self._proofs(user) == [proven], place

    async def _proofs(self, user: User) -> list[bool]:
        wanted = select(phones.c.proven).where(phones.c.user_id == user.id)
        return list(await self.database.read(lambda db: db.execute(wanted).scalars().all()))


@pytest.fixture
def play(database: SqlDatabase) -> Play:
    keyring = Keyring((SECRET_KEY,), purpose="phone")
    store = SqlUsers(database, keyring, Outage("sql"), platforms=PLATFORMS)
    return Play(database, store, count(1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.values()))
async def test_a_row_of_the_table_is_so(play: Play, row: dict[str, str]) -> None:
    for case in cases_of(row):
        if case.number == "not brought":
            await play.expect(case, "log in", row["by code"])
            continue
        await play.expect(case, "log in by code", row["by code"])
        if case.openid == "known":
            await play.expect(case, "bind by code", row["by code"])
            await play.expect(case, "bind by encryptedData", row["by encryptedData"])
