"""What `migrate` promises: it takes its time, one works, and nobody waits long because of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from service.core.models import Phone
from service.core.outage import Outage
from service.sql import migrate as migrations
from service.sql.schema_version import NEWEST, difference, find_version
from service.sql.status import DatabaseStatus
from service.wiring import migrate
from tests.contracts.test_user_store import identity, make_store, opened, to_revision
from tests.support.effort import effort
from tests.support.process import REPOSITORY, complete_environment
from tests.support.settings import APPID
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection, TextClause

    from service.config.settings import Settings
    from service.sql.database import SqlDatabase
    from tests.support.figure import Figure
    from tests.support.postgres import Postgres

USERS: Final = effort(20_000, 1_000_000)

# What a worker of the version before the last migration says.
FORMER_CLAIM: Final = text(
    "INSERT INTO phones (fingerprint, user_id) VALUES (:fingerprint, :user_id)"
    " ON CONFLICT (fingerprint) DO UPDATE SET fingerprint = excluded.fingerprint RETURNING user_id"
)
FORMER_READ: Final = text("SELECT user_id FROM phones WHERE fingerprint = :fingerprint")
FORMER_LOGIN: Final = text("SELECT id, nickname, banned_at FROM users WHERE id = :user_id")

NEW_USERS: Final = (
    "INSERT INTO users (id, nickname, avatar, created_at, updated_at)"
    " SELECT 'u' || i, 'x', 'a', 1, 1 FROM "
)
NEW_PHONES: Final = "INSERT INTO phones (fingerprint, user_id) SELECT 'f' || i, 'u' || i FROM "
FROM_ONE: Final = "generate_series(1, cast(:count AS integer)) AS numbers (i)"
FROM_ONE_BY_ONE: Final = (
    "(WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers"
    " WHERE i < :count) SELECT i FROM numbers)"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


def test_the_code_knows_the_last_migration() -> None:
    assert ScriptDirectory.from_config(migrations._config()).get_heads() == [NEWEST]


@pytest.mark.bar("K12")
async def test_several_that_migrate_at_once_all_succeed_and_one_works(
    address: str, settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "service.sql.migrate")
    several = [migrate(settings(database_url=address)) for _ in range(5)]
    assert await asyncio.gather(*several) == [(0, 0)] * 5
    done = [line for line in caplog.messages if f"migration {NEWEST} is done" in line]
    assert len(done) == 1


@pytest.mark.bar("K12")
async def test_a_migration_may_take_longer_than_a_request(postgres: Postgres) -> None:
    async with opened(postgres.database()) as database:
        slow = text("SELECT pg_sleep(2)")
        with pytest.raises(TimeoutError):
            await database.write(lambda db: db.execute(slow))
        failed = None
        try:
            await database.maintain(lambda db: db.execute(slow))
        except TimeoutError as fault:
            failed = fault
        assert failed is None


@pytest.mark.bar("K12")
async def test_a_migration_waits_for_no_lock_longer_than_people_can(postgres: Postgres) -> None:
    async with opened(postgres.database()) as database, opened_again(database) as other:
        await migrations.upgrade(database)
        await database.write(partial(to_revision, "downgrade", "0002"))
        holding, over = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with other._engine.begin() as db:
                await db.execute(text("SELECT count(*) FROM phones"))
                holding.set()
                await over.wait()

        holder = asyncio.create_task(hold())
        await holding.wait()
        watch = Stopwatch()
        with pytest.raises(DBAPIError, match="lock timeout"):
            await migrations.upgrade(database)
        assert watch.elapsed > 2.5
        assert not watch.exceeds(4.5)
        over.set()
        await holder
        await migrations.upgrade(database)


def opened_again(database: Any) -> Any:
    return opened(database._url.render_as_string(hide_password=False).replace("+asyncpg", ""))


async def test_check_says_what_is_missing_and_sql_changes_nothing(address: str) -> None:
    async with opened(address) as database:
        assert await migrations.check(database) == (
            True,
            "no tables: run python -m service migrate",
        )
        whole = await migrations.script(database)
        assert "CREATE TABLE users" in whole
        assert await database.read(find_version) is None
        await migrations.upgrade(database)
        assert await migrations.check(database) == (False, "")
        assert await migrations.script(database) == ""
        await database.write(partial(to_revision, "downgrade", "0002"))
        outdated, told = await migrations.check(database)
        assert outdated
        assert told.startswith(f"the schema is older than the code, 0002 and not {NEWEST}")
        missing = await migrations.script(database)
        assert "proven" in missing
        assert "CREATE TABLE users" not in missing
        assert await database.read(find_version) == "0002"


async def test_what_sql_prints_does_what_migrate_does(postgres: Postgres) -> None:
    address = postgres.database()
    async with opened(address) as database:
        printed = await migrations.script(database)
        postgres.psql(printed, database=address.partition("@/")[2].partition("?")[0])
        assert await migrations.check(database) == (False, "")
        assert (await make_store(database).find_or_create(APPID, identity())).is_new


async def test_a_schema_newer_than_the_code_is_left_alone_and_told(
    address: str, settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(address) as database:
        await migrations.upgrade(database)
        await database.write(set_version("9999"))
        assert await migrate(settings(database_url=address)) == (0, 0)
        assert await database.read(find_version) == "9999"
        assert await migrations.check(database) == (False, difference("9999"))
        status = DatabaseStatus(database, Outage("sql"))
        told = f"the schema is newer than the code, 9999 and not {NEWEST}"
        assert await status.status() == ("database", "degraded", told)
        assert told in caplog.text


def set_version(version: str) -> Callable[[Connection], object]:
    statement = text("UPDATE alembic_version SET version_num = :version")
    return lambda db: db.execute(statement, {"version": version})


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        **complete_environment(redis="redis://127.0.0.1:1", wechat="http://127.0.0.1:1"),
    }
    return subprocess.run(  # noqa: S603 # our own
        [sys.executable, "-m", "service", *arguments],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_by_its_exit_code_whether_a_migration_is_due(tmp_path: Path) -> None:
    due = run(tmp_path, "migrate", "--check")
    assert (due.returncode, due.stdout) == (1, "")
    assert "no tables" in due.stderr
    printed = run(tmp_path, "migrate", "--sql")
    assert printed.returncode == 0
    assert "CREATE TABLE users" in printed.stdout
    done = run(tmp_path, "migrate")
    assert done.returncode == 0
    assert f"migrating the schema from nothing to {NEWEST}" in done.stderr
    assert f"migration {NEWEST} is done, in " in done.stderr
    assert run(tmp_path, "migrate", "--check").returncode == 0
    assert run(tmp_path, "migrate", "--whatever").returncode == 2


async def fill(database: SqlDatabase, count: int) -> None:
    """So many users with a number each."""
    numbers = FROM_ONE if database.dialect == "postgresql" else FROM_ONE_BY_ONE

    def insert(db: Connection) -> None:
        for rows in (NEW_USERS, NEW_PHONES):
            db.execute(text(rows + numbers), {"count": count})

    await database.maintain(insert)


def _scalar(statement: TextClause, row: dict[str, str], db: Connection) -> object:
    return db.scalar(statement, row)


class Former:
    """A worker of the former version, which goes on while others migrate."""

    def __init__(self, database: SqlDatabase) -> None:
        self.times = 0
        self.longest = 0.0
        self._database = database
        self._over = False

    async def work(self) -> None:
        while not self._over:
            self.times += 1
            row = {"fingerprint": f"f{self.times % USERS + 1}", "user_id": "u1"}
            began = time.monotonic()
            known = await self._database.read(partial(_scalar, FORMER_READ, row))
            assert await self._database.read(partial(_scalar, FORMER_LOGIN, row)) == "u1"
            claimed = await self._database.write(partial(_scalar, FORMER_CLAIM, row))
            self.longest = max(self.longest, time.monotonic() - began)
            assert claimed == known
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._over = True


@pytest.mark.bar("K12")
async def test_up_and_down_one_step_while_the_former_version_works(
    address: str, figure: Figure
) -> None:
    async with opened(address) as database, opened(address) as theirs, opened(address) as ours:
        await migrations.upgrade(database)
        await fill(database, USERS)
        await database.maintain(partial(to_revision, "downgrade", "0002"))
        former, took = Former(theirs), []
        async with asyncio.TaskGroup() as group:
            group.create_task(former.work())
            await asyncio.sleep(0.2)
            for step in ("up", "down", "up"):
                began = time.monotonic()
                if step == "up":
                    await migrations.upgrade(database)
                else:
                    await database.maintain(partial(to_revision, "downgrade", "0002"))
                took.append(f"{step} {time.monotonic() - began:.2f} s")
                if step == "up":  # this version asks for columns that 0004 adds
                    new = await make_store(ours).find_or_create(APPID, identity(f"o{len(took)}"))
                    assert new.is_new
            await asyncio.sleep(0.2)
            former.stop()
        number = Phone("+86 13800000001")
        joined = await make_store(ours).find_or_create_with_phone(APPID, identity("oP"), number)
        figure(
            f"{database.dialect}, {USERS} users: {', '.join(took)}; the former version worked"
            f" {former.times} times, {former.longest:.2f} s at the longest"
        )
        assert joined.user.phone == number
        assert former.longest < 3.5
        assert former.times > 20


async def test_the_former_version_works_beside_what_bans_need(address: str) -> None:
    """What it says of users: 0003 had none of the columns and indexes that 0004 adds."""
    read = text(
        "SELECT users.id, users.nickname, users.avatar, users.phone, users.banned_at,"
        " users.created_at, users.updated_at FROM users WHERE users.id = :id"
    )
    insert = text(
        "INSERT INTO users (id, nickname, avatar, created_at, updated_at)"
        " VALUES (:id, 'x', 'a', 1, 1)"
    )
    async with opened(address) as database:
        await database.maintain(partial(to_revision, "upgrade", "0003"))
        await database.write(lambda db: db.execute(insert, {"id": "before"}))
        await migrations.upgrade(database)
        store = make_store(database)
        for user_id in ("before", "after"):
            if user_id == "after":
                await database.write(lambda db: db.execute(insert, {"id": "after"}))
            row = await database.read(lambda db, one=user_id: db.execute(read, {"id": one}).one())  # type: ignore[misc]
            assert row.banned_at is None
            banned = await store.ban(user_id, reason="spam", until=2_000_000_000)
            assert banned is not None
            assert banned.banned
            row = await database.read(lambda db, one=user_id: db.execute(read, {"id": one}).one())  # type: ignore[misc]
            assert row.banned_at is not None
        # And back: who is banned stays so, without an end.
        await database.maintain(partial(to_revision, "downgrade", "0003"))
        await migrations.upgrade(database)
        banned = await store.get("before")
        assert banned is not None
        assert banned.ban is not None
        assert (banned.ban.until, banned.ban.reason) == (None, "")


async def test_nothing_of_a_row_stands_in_the_error_of_a_migration(address: str) -> None:
    async with opened(address) as database:
        await migrations.upgrade(database)
        broken = text("INSERT INTO phones (fingerprint, user_id) VALUES (:f, NULL)")
        with pytest.raises(IntegrityError) as fault:
            await database.maintain(lambda db: db.execute(broken, {"f": "canary"}))
        assert "canary" not in str(fault.value)
