"""What every user store promises to operators: users are found, banned and let in again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import insert, text

from service.core.errors import InvalidRequest
from service.core.models import LONGEST_REASON, Ban, Phone
from service.sql.migrate import upgrade
from service.sql.schema import identities, phones, users
from service.sql.user_search import UserSearch
from service.stores.keyring import Keyring
from tests.contracts.test_user_store import OTHER_APP, PHONE, identity, make_store, opened
from tests.support.settings import APPID, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Connection

    from service.core.models import SearchField, User
    from service.sql.database import SqlDatabase
    from service.sql.users import SqlUsers
    from tests.support.postgres import Postgres

LAST: Final = chr(0x10FFFF)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlDatabase]:
    """A database with all tables, and no user."""
    address = f"sqlite:///{tmp_path / 'users.db'}"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        address = server.database()
    async with opened(address) as database:
        await upgrade(database)
        yield database


@pytest.fixture
def store(database: SqlDatabase) -> SqlUsers:
    return make_store(database)


async def somebody(store: SqlUsers, nickname: str, openid: str = "") -> User:
    user = (await store.find_or_create(APPID, identity(openid or f"o{nickname}"))).user
    renamed = await store.set_nickname(user.id, nickname)
    assert renamed
    return renamed


async def found(store: SqlUsers, field: SearchField, value: str) -> list[str]:
    """The nicknames, in the order in which they came, a page at a time."""
    names, after = list[str](), ""
    while True:
        page = await store.find(field, value, limit=3, after=after)
        assert len(page.users) <= 3
        names += [user.nickname for user in page.users]
        after = page.next
        if not after:
            return names


async def test_a_user_is_found_by_each_name_and_nobody_else_is(store: SqlUsers) -> None:
    await somebody(store, "Bob")
    alice = (await store.find_or_create_with_phone(APPID, identity("oA", "uA"), PHONE)).user
    alice = await store.set_nickname(alice.id, "Alice") or alice
    by: dict[SearchField, str] = {
        "id": alice.id,
        "openid": "oA",
        "unionid": "uA",
        "phone": PHONE.number,
        "nickname": "Al",
    }
    for field, value in by.items():
        assert await store.find(field, value, limit=1) == ([alice], ""), field
        assert await found(store, field, value + "x") == [], field


async def test_one_openid_or_unionid_can_be_of_several_users(store: SqlUsers) -> None:
    await store.find_or_create(APPID, identity("oSame"))
    await store.find_or_create(OTHER_APP, identity("oSame"))
    assert len(await found(store, "openid", "oSame")) == 2
    # Known before WeChat told the unionid, so they stay two (0009).
    await store.find_or_create(APPID, identity("oHere"))
    await store.find_or_create(OTHER_APP, identity("oThere", "uOne"))
    await store.find_or_create(APPID, identity("oHere", "uOne"))
    assert len(await found(store, "unionid", "uOne")) == 2


async def test_a_user_of_two_mini_programs_is_found_once(store: SqlUsers) -> None:
    for app in (APPID, OTHER_APP):
        await store.find_or_create(app, identity(f"o{app}", "uBoth"))
    assert len(await found(store, "unionid", "uBoth")) == 1


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a", ["a", "a%b", "a\\b", "a_b", "ab", "abc"]),
        ("a%", ["a%b"]),
        ("a_", ["a_b"]),
        ("a\\", ["a\\b"]),
        ("A", ["A"]),
        ("用户", ["用户2", "用户A", "用户" + LAST]),
        ("用户" + LAST, ["用户" + LAST]),
        ("\ud7ff", ["\ud7ffx"]),  # what follows it is half an emoji
        (LAST, [LAST + "x"]),
        ("nobody", []),
    ],
)
async def test_a_nickname_is_found_by_what_it_begins_with_to_the_letter(
    store: SqlUsers, prefix: str, expected: list[str]
) -> None:
    every = ["A", "a", "a%b", "a\\b", "a_b", "ab", "abc", "b", "xa", "用户2", "用户A", "用", "户"]
    for name in (*every, "用户" + LAST, "\ud7ffx", "\ue000", LAST + "x"):
        await somebody(store, name, f"o{name.encode().hex()}")
    assert await found(store, "nickname", prefix) == expected


async def test_pages_have_everybody_once_whoever_comes_and_goes(store: SqlUsers) -> None:
    for n in range(8):
        await somebody(store, "same", f"o{n}")
    first = await store.find("nickname", "same", limit=4)
    await store.delete(first.users[-1].id)  # by whom the next page begins
    for n in range(3):
        await somebody(store, "sam", f"before{n}")
    second = await store.find("nickname", "same", limit=4, after=first.next)
    ids = [user.id for user in (*first.users, *second.users)]
    assert (len(set(ids)), second.next) == (8, "")
    assert ids == sorted(ids)


@pytest.mark.parametrize("after", ["x", "x.", ".", ".eA", "x.!", "x.\0", "\0.eA", "x.AA", "x._w"])
async def test_an_after_of_no_page_is_refused(store: SqlUsers, after: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.find("nickname", "A", limit=1, after=after)
    assert refused.value.data is not None
    assert refused.value.data["field"] == "after"


async def test_a_number_is_found_under_every_key_of_the_ring(database: SqlDatabase) -> None:
    new_key = "another secret of the operator, long enough"
    owner = (await make_store(database).find_or_create_with_phone(APPID, identity(), PHONE)).user
    page = await make_store(database, new_key, SECRET_KEY).find("phone", PHONE.number, limit=1)
    assert [(user.id, user.phone) for user in page.users] == [(owner.id, PHONE)]
    assert (await make_store(database, new_key).find("phone", PHONE.number, limit=1)).users == []
    other = Phone("+1 3800000001")
    assert (await make_store(database).find("phone", other.number, limit=1)).users == []


async def test_each_search_is_by_an_index_and_each_page_too(database: SqlDatabase) -> None:
    def fill(db: Connection) -> None:
        many = range(5000)
        of = [{"user_id": f"u{n}", "appid": APPID, "openid": f"o{n}"} for n in many]
        row = {"avatar": "a", "created_at": 1, "updated_at": 1}
        db.execute(insert(users), [{"id": f"u{n}", "nickname": f"用户{n}", **row} for n in many])
        db.execute(insert(identities), [{**one, "unionid": f"x{one['openid']}"} for one in of])
        numbers = [{"fingerprint": f"f{n}", "user_id": f"u{n}", "proven": True} for n in many]
        db.execute(insert(phones), numbers)
        db.execute(text("ANALYZE"))

    await database.maintain(fill)
    keyring = Keyring((SECRET_KEY,), purpose="phone")
    store = make_store(database)
    after = (await store.find("nickname", "用户", limit=50)).next
    asked: list[tuple[SearchField, str, str]] = [
        ("id", "u7", ""),
        ("openid", "o7", ""),
        ("unionid", "xo7", ""),
        ("phone", PHONE.number, ""),
        ("nickname", "用户77", ""),
        ("nickname", "用户", ""),
        ("nickname", "用户", after),
    ]
    for field, value, cursor in asked:
        search = UserSearch(field, value, keyring, limit=50, after=cursor)
        plan = await database.read(lambda db, one=search: explain(db, one))  # type: ignore[misc]
        told = f"{field} {value} {cursor}: {plan}"
        assert "Seq Scan" not in plan, told
        assert "SCAN" not in plan.replace("SCAN SUBQUERY", ""), told
        if value == "用户":  # nor are all that match put into order
            assert "ix_users_nickname" in plan, told
            assert "Sort" not in plan, told
            assert "TEMP B-TREE" not in plan, told


def explain(db: Connection, search: UserSearch) -> str:
    compiled = search.statement(db.dialect.name).compile(
        dialect=db.dialect, compile_kwargs={"literal_binds": True}
    )
    word = "EXPLAIN QUERY PLAN" if db.dialect.name == "sqlite" else "EXPLAIN"
    rows: Any = db.exec_driver_sql(f"{word} {compiled}").all()
    return "\n".join(str(row) for row in rows)


async def test_a_ban_is_kept_replaced_and_taken_back(store: SqlUsers) -> None:
    user = await somebody(store, "Alice")
    assert (user.ban, user.banned) == (None, False)
    reason = "刷" * LONGEST_REASON
    banned = await store.ban(user.id, reason=reason, until=None)
    assert banned is not None
    assert banned.ban is not None
    assert 0 <= time.time() - banned.ban.at < 60
    assert (banned.ban.until, banned.ban.reason, banned.banned) == (None, reason, True)
    assert (await store.find_or_create(APPID, identity("oAlice"))).user == banned
    until = int(time.time()) + 3600
    again = await store.ban(user.id, reason="", until=until)
    assert again is not None
    assert again.ban is not None
    assert (again.ban.until, again.ban.reason, again.banned) == (until, "", True)
    for _ in range(2):
        free = await store.unban(user.id)
        assert free is not None
        assert (free.ban, free.banned) == (None, False)
    assert (await store.find_or_create(APPID, identity("oAlice"))).user == free


async def test_a_ban_ends_by_itself_and_is_still_told(store: SqlUsers) -> None:
    user = await somebody(store, "Alice")
    banned = await store.ban(user.id, reason="", until=int(time.time()) - 1)
    assert banned is not None
    assert banned.ban is not None
    assert not banned.banned


async def test_nobody_is_neither_banned_nor_let_in(store: SqlUsers) -> None:
    await somebody(store, "Alice")
    assert await store.ban("nobody", reason="", until=None) is None
    assert await store.unban("nobody") is None


async def test_a_ban_of_the_former_version_has_no_end(
    database: SqlDatabase, store: SqlUsers
) -> None:
    user = await somebody(store, "Alice")
    former = text("UPDATE users SET banned_at = 7 WHERE id = :id")
    await database.write(lambda db: db.execute(former, {"id": user.id}))
    banned = await store.get(user.id)
    assert banned is not None
    assert (banned.ban, banned.banned) == (Ban(7), True)
