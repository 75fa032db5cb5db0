"""A change that the database made and did not answer is made again: nobody sees a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from service.core.models import DEFAULT_AVATAR, UserIdentity
from service.sql.schema import identities, phones, unions, users
from tests.contracts.test_user_store import (
    OTHER_APP,
    PHONE,
    address,
    count,
    database,
    identity,
    make_store,
)
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from service.sql.database import SqlDatabase
    from service.sql.users import SqlUsers

__all__ = ["address", "database"]  # the fixtures


class Repeating:
    """Makes every change twice, and knows the second outcome only."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, change: Callable[[Connection], Any]) -> Any:
        await self._database.write(change)
        return await self._database.write(change)


@pytest.fixture
def store(database: SqlDatabase) -> SqlUsers:
    return make_store(Repeating(database))


@pytest.mark.parametrize("unionid", [None, "uAlice"])
@pytest.mark.parametrize("phone", [None, PHONE])
async def test_a_new_user_is_one_and_is_new(
    store: SqlUsers, database: SqlDatabase, unionid: str | None, phone: Any
) -> None:
    who = identity("oAlice", unionid)
    first, again = [
        await store.find_or_create(APPID, who)
        if phone is None
        else await store.find_or_create_with_phone(APPID, who, phone)
        for _ in range(2)
    ]
    assert (first.is_new, again.is_new) == (True, False)
    assert first.user.phone == phone
    assert again.user.id == first.user.id
    tables = (users, identities, unions, phones)
    rows = [await count(database, table) for table in tables]
    assert rows == [1, 1, 1 if unionid else 0, 1 if phone else 0]


async def test_who_joins_an_account_by_its_number_or_its_unionid_is_not_new(
    store: SqlUsers, database: SqlDatabase
) -> None:
    here = await store.find_or_create_with_phone(APPID, identity("oHere", "uAlice"), PHONE)
    by_union = await store.find_or_create(OTHER_APP, identity("oThere", "uAlice"))
    by_phone = await store.find_or_create_with_phone("wxthird", identity("oThird"), PHONE)
    for match in (by_union, by_phone):
        assert (match.user.id, match.is_new) == (here.user.id, False)
    assert await count(database, users) == 1


async def test_a_deleted_user_is_told_as_they_were(store: SqlUsers, database: SqlDatabase) -> None:
    user = (await store.find_or_create_with_phone(APPID, identity(), PHONE)).user
    deleted = await store.delete(user.id)
    assert deleted is not None
    assert deleted.user == user
    assert list(deleted.identities) == [UserIdentity(APPID, "oAlice", None)]
    assert [await count(database, table) for table in (users, identities, phones)] == [0, 0, 0]
    assert await store.delete(user.id) is None


async def test_a_new_picture_tells_of_the_one_before_it(store: SqlUsers) -> None:
    user = (await store.find_or_create(APPID, identity())).user
    for former, name in ((DEFAULT_AVATAR, "one.jpg"), ("one.jpg", "two.jpg")):
        changed = await store.set_avatar(user.id, name)
        assert changed is not None
        assert (changed.former, changed.user.avatar) == (former, name)


async def test_a_number_is_bound_once(store: SqlUsers, database: SqlDatabase) -> None:
    user = (await store.find_or_create(APPID, identity())).user
    bound = await store.bind_phone(user.id, PHONE, proven=True, may_change=True)
    assert bound is not None
    assert bound.phone == PHONE
    assert await count(database, phones) == 1


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
async def test_an_answer_lost_with_its_connection_makes_postgresql_repeat_the_change(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests above do to both, as it comes about."""
    dialect = database._engine.sync_engine.dialect
    commit, commits = dialect.do_commit, 0

    def lose(connection: Any) -> None:
        nonlocal commits
        commits += 1
        commit(connection)
        if commits == 1:
            connection.driver_connection.terminate()
            raise dialect.dbapi.InterfaceError("connection is closed")

    monkeypatch.setattr(dialect, "do_commit", lose)
    assert (await make_store(database).find_or_create(APPID, identity())).is_new
    assert commits == 2
    assert len(await database.read(lambda db: db.execute(select(users)).all())) == 1
