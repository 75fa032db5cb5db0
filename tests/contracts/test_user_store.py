"""What every user store promises."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, event, select, text

from service.core.errors import PhoneTaken, UserStoreUnavailable
from service.core.models import DEFAULT_AVATAR, DeletedUser, Phone, UserIdentity, WeChatIdentity
from service.core.outage import Outage
from service.sql import migrations
from service.sql.connect import connect_sql
from service.sql.migrate import upgrade
from service.sql.schema import identities, metadata, phones, unions, users
from service.sql.sqlite import SqliteDatabase
from service.sql.users import SqlUsers
from service.stores.keyring import Keyring
from tests.support.settings import APPID, SECRET_KEY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Connection

    from service.core.models import UserMatch
    from service.sql.database import SqlDatabase
    from tests.support.postgres import Postgres

P = ParamSpec("P")
T = TypeVar("T")

PHONE = Phone("+86 13800000001")
OTHER_PHONE = Phone("+86 13900000002")
OTHER_APP = "wxother"


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'users.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
async def database(address: str) -> AsyncIterator[SqlDatabase]:
    """A database with all tables."""
    async with opened(address) as database:
        await upgrade(database)
        yield database


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[SqlDatabase]:
    database = connect_sql(address, pool_size=5)
    try:
        yield database
    finally:
        await database.aclose()


@pytest.fixture
def store(database: SqlDatabase) -> SqlUsers:
    return make_store(database)


def make_store(database: SqlDatabase, *ring: str) -> SqlUsers:
    return SqlUsers(database, Keyring(ring or (SECRET_KEY,), purpose="phone"), Outage("sql"))


def identity(openid: str = "oAlice", unionid: str | None = None) -> WeChatIdentity:
    return WeChatIdentity(openid, secrets.token_bytes(16), unionid)


async def count(database: SqlDatabase, table: Any) -> int:
    return len(await database.read(lambda db: db.execute(select(table)).all()))


async def test_the_first_arrival_makes_a_user_and_the_second_finds_them(store: SqlUsers) -> None:
    first = await store.find_or_create(APPID, identity())
    assert first.is_new
    assert first.user.nickname.startswith("用户")
    assert first.user.avatar == DEFAULT_AVATAR
    assert (first.user.phone, first.user.banned) == (None, False)
    assert first.user.created_at > 1_700_000_000
    second = await store.find_or_create(APPID, identity())
    assert not second.is_new
    assert second.user == first.user


async def test_of_many_ids_it_says_who_is_there(store: SqlUsers) -> None:
    there = [(await store.find_or_create(APPID, identity(f"o{n}"))).user.id for n in range(3)]
    strangers = [f"nobody-{n}" for n in range(497)]
    assert await store.existing([*there, *strangers]) == set(there)
    assert await store.existing(strangers) == set()
    assert await store.existing([]) == set()
    await store.delete(there[0])
    assert await store.existing(there) == set(there[1:])


async def patiently(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Again where a busy machine left the database no time, as clients do that are told 503."""
    while True:
        try:
            return await call(*args, **kwargs)
        except UserStoreUnavailable:
            await asyncio.sleep(0.05)


@pytest.mark.bar("G1")
async def test_a_hundred_users_arriving_twenty_times_at_once_are_a_hundred_rows(
    address: str, database: SqlDatabase
) -> None:
    answers: list[UserMatch] = []
    async with AsyncExitStack() as stack:
        # As in four workers, none of which knows of the others.
        workers = [make_store(await stack.enter_async_context(opened(address))) for _ in range(4)]
        for start in range(0, 100, 5):
            answers += await asyncio.gather(
                *(
                    patiently(workers[i % 4].find_or_create, APPID, identity(f"o{start + i % 5}"))
                    for i in range(100)
                )
            )
    assert await count(database, users) == await count(database, identities) == 100
    assert sum(answer.is_new for answer in answers) == 100
    assert len({answer.user.id for answer in answers}) == 100


async def test_the_same_openid_in_two_apps_is_two_users(store: SqlUsers) -> None:
    here, there = (
        await store.find_or_create(APPID, identity()),
        await store.find_or_create(OTHER_APP, identity()),
    )
    assert here.user.id != there.user.id


async def test_a_unionid_joins_one_person_across_apps(store: SqlUsers) -> None:
    here = await store.find_or_create(APPID, identity("oHere", "uAlice"))
    there = await store.find_or_create(OTHER_APP, identity("oThere", "uAlice"))
    assert there.user == here.user
    assert not there.is_new
    assert {one.openid for one in await store.identities(here.user.id)} == {"oHere", "oThere"}


async def test_two_apps_first_logins_of_one_person_at_once_are_one_user(
    database: SqlDatabase, store: SqlUsers
) -> None:
    for person in range(10):
        arrivals = await asyncio.gather(
            *(
                store.find_or_create(app, identity(f"o{app}{person}", f"u{person}"))
                for app in (APPID, OTHER_APP, APPID, OTHER_APP)
            )
        )
        assert len({one.user.id for one in arrivals}) == 1
    assert await count(database, users) == 10


async def test_a_unionid_that_appears_later_is_kept(store: SqlUsers) -> None:
    before = await store.find_or_create(APPID, identity("oAlice"))
    after = await store.find_or_create(APPID, identity("oAlice", "uAlice"))
    assert after.user == before.user
    assert await store.identities(before.user.id) == [UserIdentity(APPID, "oAlice", "uAlice")]
    elsewhere = await store.find_or_create(OTHER_APP, identity("oElse", "uAlice"))
    assert elsewhere.user == before.user


async def test_two_known_users_are_never_merged_by_a_unionid(store: SqlUsers) -> None:
    here = await store.find_or_create(APPID, identity("oHere"))
    there = await store.find_or_create(OTHER_APP, identity("oThere", "uAlice"))
    again = await store.find_or_create(APPID, identity("oHere", "uAlice"))
    assert again.user.id == here.user.id != there.user.id
    assert (await store.find_or_create(OTHER_APP, identity("oThere", "uAlice"))).user == there.user


async def test_a_known_arrival_reads_once_and_writes_nothing(
    database: SqlDatabase, store: SqlUsers
) -> None:
    await store.find_or_create(APPID, identity("oAlice", "uAlice"))
    seen = await statements(database, store.find_or_create(APPID, identity("oAlice", "uAlice")))
    assert len(seen) == 1
    assert seen[0].startswith("SELECT")


async def statements(database: SqlDatabase, action: Awaitable[object]) -> list[str]:
    """By SQLAlchemy, and on SQLite's open connection past it."""
    seen: list[str] = []
    traced = None
    if isinstance(database, SqliteDatabase):
        traced = cast("Any", database._open_reading().connection.dbapi_connection)
        traced.set_trace_callback(seen.append)

    def note(db: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if traced is None or db.connection.dbapi_connection is not traced:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    await action
    event.remove(Engine, "before_cursor_execute", note)
    if traced:
        traced.set_trace_callback(None)
    return seen


async def test_the_lookup_of_a_known_user_uses_indexes(
    address: str, database: SqlDatabase, store: SqlUsers
) -> None:
    await store.find_or_create(APPID, identity())
    question = text(
        "EXPLAIN QUERY PLAN SELECT * FROM identities JOIN users ON users.id = user_id"
        " WHERE appid = 'a' AND openid = 'b'"
    )
    if address.startswith("sqlite"):
        plan = str(await database.read(lambda db: db.execute(question).all()))
        assert "SCAN" not in plan
        assert plan.count("SEARCH") == 2


async def test_profiles_change_what_is_given(store: SqlUsers) -> None:
    user = (await store.find_or_create(APPID, identity())).user
    renamed = await store.set_nickname(user.id, "小明👨‍👩‍👧")
    assert renamed is not None
    assert (renamed.nickname, renamed.avatar) == ("小明👨‍👩‍👧", DEFAULT_AVATAR)
    moved = await store.set_avatar(user.id, "x.webp")
    assert moved is not None
    assert (moved.user.nickname, moved.user.avatar) == ("小明👨‍👩‍👧", "x.webp")
    assert moved.former == DEFAULT_AVATAR
    assert await store.get(user.id) == moved.user
    assert await store.set_nickname("nobody", "x") is None
    assert await store.set_avatar("nobody", "x.webp") is None


async def test_of_many_pictures_at_once_each_is_the_former_of_one_other(store: SqlUsers) -> None:
    user = (await store.find_or_create(APPID, identity())).user
    names = [f"{number}.jpg" for number in range(20)]
    changes = await asyncio.gather(*(store.set_avatar(user.id, name) for name in names))
    stands = await store.get(user.id)
    assert stands is not None
    formers = [change.former for change in changes if change]
    assert sorted([*formers, stands.avatar]) == sorted([*names, DEFAULT_AVATAR])


async def test_a_phone_login_of_a_known_user_binds_the_number(store: SqlUsers) -> None:
    user = (await store.find_or_create(APPID, identity())).user
    arrival = await store.find_or_create_with_phone(APPID, identity(), PHONE)
    assert (arrival.user.id, arrival.user.phone, arrival.is_new) == (user.id, PHONE, False)
    again = await store.find_or_create_with_phone(APPID, identity(), PHONE)
    assert again.user.phone == PHONE


async def test_a_phone_login_of_a_stranger_makes_a_user_with_the_number(store: SqlUsers) -> None:
    arrival = await store.find_or_create_with_phone(APPID, identity(), PHONE)
    assert (arrival.user.phone, arrival.is_new) == (PHONE, True)
    assert (await store.find_or_create(APPID, identity())).user == arrival.user


async def test_a_phone_joins_the_same_person_in_another_app(store: SqlUsers) -> None:
    here = await store.find_or_create_with_phone(APPID, identity("oHere"), PHONE)
    there = await store.find_or_create_with_phone(OTHER_APP, identity("oThere"), PHONE)
    assert there.user.id == here.user.id
    assert not there.is_new


async def test_a_phone_of_another_account_of_the_app_is_taken(
    database: SqlDatabase, store: SqlUsers
) -> None:
    owner = await store.find_or_create_with_phone(APPID, identity("oOwner"), PHONE)
    with pytest.raises(PhoneTaken):  # a stranger
        await store.find_or_create_with_phone(APPID, identity("oStranger"), PHONE)
    known = await store.find_or_create(APPID, identity("oKnown"))
    for attempt in (
        store.find_or_create_with_phone(APPID, identity("oKnown"), PHONE),
        store.bind_phone(known.user.id, PHONE, proven=True, may_change=True),
    ):
        with pytest.raises(PhoneTaken):
            await attempt
    assert (await store.get(owner.user.id) or known.user).phone == PHONE
    assert (await store.get(known.user.id) or owner.user).phone is None
    assert await count(database, users) == 2
    assert await count(database, phones) == 1


async def test_a_known_user_of_another_app_is_not_merged_by_a_phone(store: SqlUsers) -> None:
    await store.find_or_create_with_phone(APPID, identity("oHere"), PHONE)
    await store.find_or_create(OTHER_APP, identity("oThere"))
    with pytest.raises(PhoneTaken):
        await store.find_or_create_with_phone(OTHER_APP, identity("oThere"), PHONE)


async def test_a_phone_login_goes_by_the_openid_where_the_unionid_is_another_users(
    store: SqlUsers,
) -> None:
    here = (await store.find_or_create(APPID, identity("oHere"))).user
    there = (await store.find_or_create(OTHER_APP, identity("oThere", "uAlice"))).user
    arrival = await store.find_or_create_with_phone(APPID, identity("oHere", "uAlice"), PHONE)
    assert (arrival.user.id, arrival.user.phone) == (here.id, PHONE)
    assert (await store.find_or_create("wxthird", identity("oThird", "uAlice"))).user == there


async def test_a_unionid_finds_its_account_whom_a_number_has_joined_there(
    store: SqlUsers,
) -> None:
    # So a stranger who joins by number while the owner arrives need not wait for them:
    # the other way round the account has both as well.
    owner = (await store.find_or_create_with_phone(APPID, identity("oHere", "uAlice"), PHONE)).user
    joined = await store.find_or_create_with_phone(OTHER_APP, identity("oStranger"), PHONE)
    arrived = await store.find_or_create(OTHER_APP, identity("oAlice", "uAlice"))
    assert owner.id == joined.user.id == arrived.user.id


@pytest.mark.bar("G4")
async def test_two_accounts_linking_one_phone_fifty_times_at_once_have_one_owner(
    database: SqlDatabase, store: SqlUsers
) -> None:
    a = (await store.find_or_create(APPID, identity("oA"))).user.id
    b = (await store.find_or_create(APPID, identity("oB"))).user.id
    bind = store.find_or_create_with_phone
    results = await asyncio.gather(
        *(patiently(bind, APPID, identity("oA" if i % 2 else "oB"), PHONE) for i in range(50)),
        return_exceptions=True,
    )
    owners = {one.user.id for one in results if not isinstance(one, BaseException)}
    assert len(owners) == 1
    assert owners < {a, b}
    refused = [one for one in results if isinstance(one, BaseException)]
    assert len(refused) == 25
    assert all(isinstance(one, PhoneTaken) for one in refused)
    assert await count(database, users) == 2


async def test_strangers_linking_one_phone_at_once_make_one_user(
    database: SqlDatabase, store: SqlUsers
) -> None:
    arrive = store.find_or_create_with_phone
    results = await asyncio.gather(
        *(patiently(arrive, APPID, identity(f"o{i}"), PHONE) for i in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, PhoneTaken) for one in results) == 19
    assert await count(database, users) == await count(database, identities) == 1


async def test_a_changed_number_frees_the_old_one(store: SqlUsers) -> None:
    a = (await store.find_or_create_with_phone(APPID, identity("oA"), PHONE)).user
    changed = await store.bind_phone(a.id, OTHER_PHONE, proven=True, may_change=True)
    assert changed is not None
    assert changed.phone == OTHER_PHONE
    b = await store.find_or_create_with_phone(APPID, identity("oB"), PHONE)
    assert b.user.id != a.id
    assert await store.bind_phone("nobody", Phone("+86 1"), proven=True, may_change=True) is None


async def test_a_deleted_user_leaves_nothing_and_comes_back_as_somebody_new(
    database: SqlDatabase, store: SqlUsers
) -> None:
    user = (await store.find_or_create_with_phone(APPID, identity("oAlice", "uAlice"), PHONE)).user
    departure = await store.delete(user.id)
    assert departure == DeletedUser(user, [UserIdentity(APPID, "oAlice", "uAlice")])
    assert await store.delete(user.id) is None
    assert await store.get(user.id) is None
    for table in metadata.sorted_tables:
        assert await count(database, table) == 0
    back = await store.find_or_create_with_phone(APPID, identity("oAlice", "uAlice"), PHONE)
    assert back.is_new
    assert back.user.id != user.id


async def test_no_phone_number_lies_open(database: SqlDatabase, store: SqlUsers) -> None:
    await store.find_or_create_with_phone(APPID, identity(), PHONE)
    for table in metadata.sorted_tables:
        rows = await database.read(lambda db, table=table: db.execute(select(table)).all())  # type: ignore[misc]
        assert "13800000001" not in str(rows)
    assert (await store.find_or_create(APPID, identity())).user.phone == PHONE


async def test_a_number_is_found_and_unique_while_keys_rotate(database: SqlDatabase) -> None:
    new_key = "another secret of the operator, long enough"
    old, both = make_store(database), make_store(database, new_key, SECRET_KEY)
    owner = (await old.find_or_create_with_phone(APPID, identity("oOwner"), PHONE)).user
    with pytest.raises(PhoneTaken):
        await both.find_or_create_with_phone(APPID, identity("oOther"), PHONE)
    there = await both.find_or_create_with_phone(OTHER_APP, identity("oThere"), PHONE)
    assert there.user.id == owner.id

    assert await both.reseal() == (0, 0)  # the login resealed it
    await old.bind_phone(owner.id, OTHER_PHONE, proven=True, may_change=True)
    assert await make_store(database, new_key).reseal() == (0, 1)
    assert [await both.reseal() for _ in range(2)] == [(1, 0), (0, 0)]
    new = make_store(database, new_key)
    assert (await new.get(owner.id) or there.user).phone == OTHER_PHONE
    with pytest.raises(PhoneTaken):
        await new.find_or_create_with_phone(APPID, identity("oOther"), OTHER_PHONE)


async def test_who_joins_the_owner_of_a_number_leaves_it_under_every_key(
    database: SqlDatabase,
) -> None:
    new_key = "another secret of the operator, long enough"
    old, both = make_store(database), make_store(database, new_key, SECRET_KEY)
    for n in range(10):  # fingerprints are in no order that the ring tells
        phone = Phone(f"+86 1380000001{n}")
        owner = (await old.find_or_create_with_phone(APPID, identity(f"oHere{n}"), phone)).user
        there = await both.find_or_create_with_phone(OTHER_APP, identity(f"oThere{n}"), phone)
        assert there.user.id == owner.id
    assert await count(database, phones) == 20


async def test_a_user_whose_key_is_gone_has_no_phone_and_still_arrives(
    database: SqlDatabase, store: SqlUsers
) -> None:
    user = (await store.find_or_create_with_phone(APPID, identity(), PHONE)).user
    arrival = await make_store(database, "n" * 32).find_or_create(APPID, identity())
    assert (arrival.user.id, arrival.user.phone) == (user.id, None)


async def test_a_database_that_is_away_says_so_in_time() -> None:
    for away in ("postgresql://nobody@127.0.0.1:1/none", "sqlite:////nowhere/at/all.db"):
        async with opened(away) as nothing:
            watch = Stopwatch(alone=True)
            with pytest.raises(UserStoreUnavailable):
                await make_store(nothing).find_or_create(APPID, identity())
            assert watch.seconds < 2


async def test_a_file_that_somebody_has_locked_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    async with opened(f"sqlite:///{path}") as database:
        await upgrade(database)
        store = make_store(database)
        known = await store.find_or_create(APPID, identity())
    async with opened(f"sqlite:///{path}") as database:
        store = make_store(database)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        waiting = asyncio.create_task(store.find_or_create(APPID, identity()))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        other.close()
        assert (await waiting).user == known.user


async def test_the_migrations_make_the_tables_that_the_code_describes(
    database: SqlDatabase,
) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    differences = await database.read(
        lambda db: compare_metadata(MigrationContext.configure(db), metadata)
    )
    assert differences == []
    await upgrade(database)  # again: nothing to do
    assert await count(database, unions) == 0


async def test_a_number_from_before_it_was_kept_how_it_came_counts_as_proven(
    database: SqlDatabase, store: SqlUsers
) -> None:
    """So does one of a worker of the former version, which goes on while the migration runs."""
    owner = (await store.find_or_create_with_phone(APPID, identity("oOwner"), PHONE)).user
    await database.write(partial(to_revision, "downgrade", "0002"))
    await upgrade(database)
    other = (await store.find_or_create(APPID, identity("oFormer"))).user
    fingerprint = Keyring((SECRET_KEY,), purpose="phone").fingerprints(OTHER_PHONE.number)[0]
    former = text("INSERT INTO phones (fingerprint, user_id) VALUES (:fingerprint, :user_id)")
    row = {"fingerprint": fingerprint, "user_id": other.id}
    await database.write(lambda db: db.execute(former, row))
    for phone, user in ((PHONE, owner), (OTHER_PHONE, other)):
        joined = await store.find_or_create_with_phone(OTHER_APP, identity(f"o{user.id}"), phone)
        assert joined.user.id == user.id


def to_revision(direction: str, revision: str, db: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = db
    getattr(command, direction)(config, revision)


async def test_a_proof_is_kept_while_keys_rotate(database: SqlDatabase) -> None:
    new_key = "another secret of the operator, long enough"
    old, both = make_store(database), make_store(database, new_key, SECRET_KEY)
    people = [
        (await old.find_or_create(APPID, identity(f"o{proven}"))).user for proven in (True, False)
    ]
    for user, phone, proven in zip(people, (PHONE, OTHER_PHONE), (True, False), strict=True):
        assert await old.bind_phone(user.id, phone, proven=proven, may_change=False)
        # Brought again by encryptedData, with a new key: the row of that key learns of the proof.
        assert await both.bind_phone(user.id, phone, proven=False, may_change=False)
    assert await both.reseal() == (0, 0)
    new = make_store(database, new_key)
    for user, phone, proven in zip(people, (PHONE, OTHER_PHONE), (True, False), strict=True):
        arrival = await new.find_or_create_with_phone(OTHER_APP, identity(f"x{proven}"), phone)
        assert (arrival.user.id == user.id) == proven


async def test_numbers_are_resealed_with_their_proofs(database: SqlDatabase) -> None:
    new_key = "another secret of the operator, long enough"
    old, both = make_store(database), make_store(database, new_key, SECRET_KEY)
    for name, phone, proven in (("oA", PHONE, True), ("oB", OTHER_PHONE, False)):
        user = (await old.find_or_create(APPID, identity(name))).user
        await old.bind_phone(user.id, phone, proven=proven, may_change=False)
    assert await both.reseal() == (2, 0)
    new = make_store(database, new_key)
    joined = await new.find_or_create_with_phone(OTHER_APP, identity("oThere"), PHONE)
    stranger = await new.find_or_create_with_phone(OTHER_APP, identity("oElse"), OTHER_PHONE)
    assert (joined.is_new, stranger.is_new) == (False, True)


async def test_many_known_arrivals_at_once_each_find_their_own(
    database: SqlDatabase, store: SqlUsers
) -> None:
    names = [f"o{n}" for n in range(40)]
    known = {n: await store.find_or_create(APPID, identity(n, f"u{n}")) for n in names}
    other = await store.find_or_create(OTHER_APP, identity("o7"))
    arrivals = asyncio.gather(
        *(store.find_or_create(APPID, identity(n)) for n in names),
        store.find_or_create(OTHER_APP, identity("o7")),
    )
    seen = await statements(database, arrivals)
    *found, elsewhere = await arrivals
    assert [one.user for one in found] == [known[n].user for n in names]
    assert [one.unionid for one in found] == [f"u{n}" for n in names]
    assert elsewhere.user == other.user
    assert not any(one.is_new for one in (*found, elsewhere))
    assert len(seen) == (1 if database.is_remote else 41)
