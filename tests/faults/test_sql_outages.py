"""A database that fails in every way there is: what users see, for how long, and that it ends."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from sqlalchemy import select, text

from service.core import outage as outages
from service.core.errors import UserStoreUnavailable
from service.simulator.state.identities import openid_of
from service.sql import postgres
from service.sql.connect import connect_sql
from service.sql.migrate import upgrade
from service.sql.schema import identities
from service.sql.status import DatabaseStatus
from service.wiring import migrate
from tests.contracts.test_user_store import identity, make_store
from tests.support.pgbouncer import NEEDS_PGBOUNCER, running_pgbouncer
from tests.support.postgres import Postgres, running_postgres
from tests.support.proxy import ChaosProxy
from tests.support.running import Api, running_service
from tests.support.settings import APPID
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from service.config.settings import Settings
    from service.sql.users import SqlUsers
    from tests.support.figure import Figure
    from tests.support.running import Simulator

pytestmark = pytest.mark.timeout(120)

BAR: Final = 2.0
"""Seconds in which /readyz has to tell the truth, and logins to succeed again."""

COUNT: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
END_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name <> 'hog'"
)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL to ill-treat, which no other test leans on."""
    with running_postgres() as server:
        yield server


def over_tcp(address: str, port: int) -> str:
    """The same database by a port of this machine."""
    return address.partition("?")[0].replace("@", f"@127.0.0.1:{port}")


async def psql(server: Postgres, statement: str, name: str = "postgres") -> str:
    return await asyncio.to_thread(server.psql, statement, database=name)


def name_of(address: str) -> str:
    return address.partition("@/")[2].partition("?")[0]


@dataclass
class Outage:
    """New users who log in without end while something happens; and what /readyz says."""

    api: Api
    simulator: Simulator
    figure: Figure
    seen: Counter[int] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)
    longest: float = 0.0
    last_success: float = 0.0
    ready: int = 0
    reason: str = ""
    _number: int = 0
    _over: bool = False

    @asynccontextmanager
    async def under_way(self, crowd: int = 4) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for _ in range(crowd):
                group.create_task(self._register())
            group.create_task(self._probe())
            await self.until(lambda: len(self.acknowledged) > 20, "people are in")
            yield
            self._over = True

    async def until(self, holds: Callable[[], bool], what: str, *, within: float = BAR) -> float:
        watch = Stopwatch()
        while not holds():
            assert not watch.exceeds(within), f"not within {within} s: {what}; {self.reason}"
            await asyncio.sleep(0.01)
        return watch.seconds

    async def until_it_shows(self) -> float:
        return round(await self.until(lambda: self.ready == 503, "/readyz is red"), 2)

    async def until_it_ends(self) -> tuple[float, float]:
        """Seconds until somebody new was in, and until /readyz was green."""
        began = time.monotonic()
        back = await self.until(lambda: self.last_success > began, "somebody is in", within=5)
        watch = Stopwatch()
        green = back + await self.until(lambda: self.ready == 200, "/readyz is green")
        assert back < BAR
        assert not watch.exceeds(BAR)
        return round(back, 2), round(green, 2)

    async def _register(self) -> None:
        while not self._over:
            self._number += 1
            user = f"user-{self._number}"
            code = await self.simulator.code(user)
            watch = Stopwatch(alone=True)
            answer = await self.api.login(code)
            self.longest = max(self.longest, watch.seconds)
            self.seen[answer.status] += 1
            assert answer.code in (0, 50301)
            if answer.status == 200:
                self.acknowledged[user] = answer.data["user"]["id"]
                self.last_success = time.monotonic()
            await asyncio.sleep(0.02)

    async def _probe(self) -> None:
        while not self._over:
            answer = await self.api.ask("GET", "/readyz", params={"verbose": ""})
            self.ready = answer.status
            redis, base, *_ = answer.data["components"]
            assert redis["state"] == "ready"
            self.reason = base["reason"]
            await asyncio.sleep(0.05)

    async def lost(self, address: str) -> set[str]:
        """Those who were told that they are in, and are not."""
        base = connect_sql(address, pool_size=1)
        try:
            rows = await base.read(lambda db: db.execute(select(identities)).all())
        finally:
            await base.aclose()
        found = {row.openid: row.user_id for row in rows}
        assert len(found) == len(set(found.values()))
        return {
            user
            for user, one in self.acknowledged.items()
            if found.get(openid_of(appid=APPID, user=user)) != one
        }

    def tell(self, what: str, red: object, back: object) -> None:
        self.figure(
            f"{what}: {dict(self.seen)}, longest {self.longest:.2f} s, red after {red}, back {back}"
        )


@pytest.fixture
def outage(
    settings: Callable[..., Settings], simulator: Simulator, figure: Figure
) -> Callable[[str], Any]:
    """Runs a service on a database that it migrates first."""

    @asynccontextmanager
    async def run(address: str, migrated: str = "") -> AsyncIterator[Outage]:
        await migrate(settings(database_url=migrated or address))
        configured = settings(
            database_url=address,
            wechat_api_base=(simulator.url,),
            limit_login_per_address="off",
            redis_timeout_ms=2000,  # what is under test is not Redis
            login_coalesce_ms=0,
        )
        async with running_service(configured) as api:
            yield Outage(api, simulator, figure)

    return run


@asynccontextmanager
async def read_only(database: Postgres) -> AsyncIterator[None]:
    """What a former primary is that lives on as a replica: it keeps its connections."""
    try:
        await psql(database, "ALTER SYSTEM SET default_transaction_read_only = on")
        await psql(database, "SELECT pg_reload_conf()")
        yield
    finally:
        await psql(database, "ALTER SYSTEM RESET default_transaction_read_only")
        await psql(database, "SELECT pg_reload_conf()")


@pytest.mark.bar("K2")
async def test_postgresql_fails_over_behind_one_address(
    outage: Callable[..., Any], database: Postgres
) -> None:
    address = database.database()
    with running_postgres(replica_of=database) as replica:
        async with (
            ChaosProxy(str(database.socket)) as proxy,
            outage(over_tcp(address, proxy.port), address) as found,
        ):
            async with found.under_way(), read_only(database):
                red = await found.until_it_shows()
                named = "SQLSTATE 25006: ReadOnlySQLTransactionError"
                await found.until(lambda: named in found.reason, "why", within=5)
                await asyncio.sleep(1)  # what was confirmed is in the replica by now
                await psql(replica, "SELECT pg_promote()")
                proxy.lead_to(str(replica.socket))
                back = await found.until_it_ends()
            found.tell("failover", red, back)
            elsewhere = address.replace(str(database.folder), str(replica.folder))
            assert await found.lost(elsewhere) == set()


@pytest.mark.bar("K2")
async def test_a_failover_that_is_over_when_it_is_seen_costs_nobody_anything(
    outage: Callable[..., Any], database: Postgres
) -> None:
    address = database.database()
    with running_postgres(replica_of=database) as replica:
        async with (
            ChaosProxy(str(database.socket)) as proxy,
            outage(over_tcp(address, proxy.port), address) as found,
        ):
            async with found.under_way():
                await psql(replica, "SELECT pg_promote()")
                proxy.lead_to(str(replica.socket))
                before, opened = len(found.acknowledged), proxy.connections
                async with read_only(database):
                    await found.until(lambda: len(found.acknowledged) > before + 20, "more are in")
                    assert proxy.connections > opened
            found.tell("a failover at once", "-", "-")
            # On a machine with time for it nobody; else those whose connections it was, at most.
            assert found.seen[503] <= 4


@pytest.mark.parametrize("how", ["shut down", "kill -9"])
@pytest.mark.bar("K7")
async def test_postgresql_is_started_again(
    outage: Callable[..., Any], database: Postgres, how: str
) -> None:
    address = database.database()
    async with outage(address) as found:
        async with found.under_way():
            await asyncio.to_thread(database.kill if how == "kill -9" else database.shut_down)
            red = await found.until_it_shows()
            await asyncio.to_thread(database.start)
            back = await found.until_it_ends()
        found.tell(how, red, back)
        assert found.longest < 2.2
        assert await found.lost(address) == set()


@pytest.mark.bar("K7")
async def test_postgresql_has_no_connection_left(
    outage: Callable[..., Any], database: Postgres
) -> None:
    address = database.database()
    name = name_of(address)
    await psql(database, "ALTER SYSTEM SET max_connections = 12")
    await asyncio.to_thread(database.shut_down)
    await asyncio.to_thread(database.start)
    hogs: list[asyncpg.Connection] = []
    try:
        async with outage(address) as found:
            async with found.under_way():
                await psql(database, END_OTHERS, name)
                watch = Stopwatch()
                while not watch.exceeds(BAR) and len(hogs) < 12:
                    try:
                        hogs.append(
                            await asyncpg.connect(
                                user="postgres",
                                database=name,
                                host=str(database.folder),
                                server_settings={"application_name": "hog"},
                            )
                        )
                    except asyncpg.TooManyConnectionsError:
                        await hogs[0].execute(END_OTHERS)
                red = await found.until_it_shows()
                assert "53300" in found.reason or "no answer" in found.reason
                await asyncio.gather(*(hog.close() for hog in hogs))
                back = await found.until_it_ends()
            found.tell("max_connections", red, back)
            assert found.longest < 2.2
            assert await found.lost(address) == set()
    finally:
        for hog in hogs:
            hog.terminate()
        await psql(database, "ALTER SYSTEM RESET max_connections")
        await asyncio.to_thread(database.shut_down)
        await asyncio.to_thread(database.start)


@pytest.mark.bar("K7")
async def test_somebody_has_the_table_of_users_locked(
    outage: Callable[..., Any], database: Postgres
) -> None:
    address = database.database()
    name = name_of(address)
    holder = await asyncpg.connect(user="postgres", database=name, host=str(database.folder))
    try:
        async with outage(address) as found:
            async with found.under_way():
                await holder.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                red = await found.until_it_shows()
                await asyncio.sleep(3)
                # Whoever was given up waits at the server no more: nothing piles up there.
                waiting = int(await psql(database, COUNT, name))
                await holder.execute("ROLLBACK")
                back = await found.until_it_ends()
            found.tell(f"a lock ({waiting} connections)", red, back)
            assert waiting <= 1 + 2 * 5
            assert found.longest < 2.2
            assert await found.lost(address) == set()
    finally:
        holder.terminate()


@pytest.mark.bar("K7")
async def test_a_slow_postgresql_is_slow_and_no_worse(
    outage: Callable[..., Any], database: Postgres
) -> None:
    """Five connections take six round trips of 0.06 s for each of four logins."""
    address = database.database()
    async with (
        ChaosProxy(str(database.socket)) as proxy,
        outage(over_tcp(address, proxy.port), address) as found,
    ):
        async with found.under_way(crowd=3):
            proxy.delay["down"] = 0.06
            opened = proxy.connections
            before = len(found.acknowledged)
            await found.until(
                lambda: len(found.acknowledged) > before + 20, "more are in", within=20
            )
            opened = proxy.connections - opened
        found.tell(f"slow ({opened} new connections)", "-", "-")
        assert set(found.seen) == {200}


async def gone_silent(proxy: ChaosProxy, store: SqlUsers, crowd: int, idle: float) -> list[Any]:
    """What so many are told who come at once, when every connection there was is dead."""
    await asyncio.gather(*(store.find_or_create(APPID, identity(f"o{n}")) for n in range(crowd)))
    await asyncio.sleep(idle)
    proxy.forget()
    logins = (store.find_or_create(APPID, identity(f"o{n}")) for n in range(crowd))
    return await asyncio.gather(*logins, return_exceptions=True)


@pytest.mark.parametrize("idle", [0.0, 1.5], ids=["in use", "idle"])
@pytest.mark.parametrize("crowd", [1, 12])
@pytest.mark.bar("K3")
async def test_connections_that_die_without_a_word_are_replaced_in_time(
    database: Postgres, crowd: int, idle: float, figure: Figure
) -> None:
    address = database.database()
    async with ChaosProxy(str(database.socket)) as proxy:
        base = connect_sql(over_tcp(address, proxy.port), pool_size=5)
        await upgrade(base)
        store = make_store(base)
        await asyncio.gather(*(store.get(f"nobody{n}") for n in range(5)))  # all five are open
        watch = Stopwatch()
        told = await gone_silent(proxy, store, crowd, idle)
        took = watch.seconds - idle
        failed = [one for one in told if isinstance(one, UserStoreUnavailable)]
        assert failed == []
        watch = Stopwatch()
        after = [await store.find_or_create(APPID, identity(f"o{n}")) for n in range(12)]
        figure(f"{len(failed)} of {crowd} failed, {took:.2f} s, the next 12 {watch.seconds:.2f} s")
        assert len(after) == 12
        assert watch.seconds < 1
        await base.aclose()


async def test_a_change_whose_answer_is_lost_is_made_once(database: Postgres) -> None:
    """The commit arrives, its answer does not; the second attempt finds what the first did."""
    address = database.database()
    async with ChaosProxy(str(database.socket)) as proxy:
        base = connect_sql(over_tcp(address, proxy.port), pool_size=1)
        await upgrade(base)
        store = make_store(base)
        await store.find_or_create(APPID, identity("oFirst"))
        for person in range(12):
            await store.get("nobody")  # there is a connection, and it lives
            proxy.drop_replies_after(person * 60)
            login = asyncio.create_task(store.find_or_create(APPID, identity(f"o{person}")))
            await asyncio.sleep(0.1)
            proxy.drop_replies_after(None)
            proxy.cut()
            assert (await login).is_new, person
        rows = await base.read(lambda db: db.execute(select(identities)).all())
        assert len(rows) == 13
        await base.aclose()


@NEEDS_PGBOUNCER
@pytest.mark.parametrize("told", ["", "?pgbouncer=true"], ids=["found out", "told"])
@pytest.mark.bar("K4")
async def test_a_pooler_in_transaction_mode_fails_nobody(
    database: Postgres, told: str, caplog: pytest.LogCaptureFixture, figure: Figure
) -> None:
    address = database.database()
    with running_pgbouncer(database, size=3) as port:
        workers = [connect_sql(over_tcp(address, port) + told, pool_size=5) for _ in range(2)]
        await upgrade(workers[0])
        stores = [make_store(worker) for worker in workers]
        seen: Counter[str] = Counter()
        watch = Stopwatch()
        for start in range(0, 48, 12):
            for known in (False, True):
                answers = await asyncio.gather(
                    *(
                        stores[n % 2].find_or_create(APPID, identity(f"o{n}", f"u{n}"))
                        for n in range(start, start + 12)
                    ),
                    return_exceptions=True,
                )
                seen.update(
                    "failed" if isinstance(one, BaseException) else "new" if one.is_new else "known"
                    for one in answers
                )
                assert known or not seen["failed"]
        figure(f"{dict(seen)} in {watch.seconds:.2f} s")
        assert seen == {"new": 48, "known": 48}
        assert ("pooler" in caplog.text) == (not told)
        for worker in workers:
            await worker.aclose()


@NEEDS_PGBOUNCER
@pytest.mark.bar("K4")
async def test_migrations_go_through_a_pooler(
    database: Postgres, settings: Callable[..., Settings]
) -> None:
    with running_pgbouncer(database, size=3) as port:
        address = over_tcp(database.database(), port)
        found = [migrate(settings(database_url=address)) for _ in range(3)]
        assert await asyncio.gather(*found) == [(0, 0)] * 3


@pytest.mark.bar("K7")
async def test_a_rush_is_waited_out_and_is_no_outage(
    database: Postgres, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty changes of 50 ms over one connection take longer than anybody waits for a dead one."""
    monkeypatch.setattr(postgres, "_WRITE_SECONDS", 60)  # a busy machine makes a long line
    base = connect_sql(database.database(), pool_size=1)
    await upgrade(base)
    status = DatabaseStatus(base, outages.Outage("sql"))
    await status.status()
    slow = text("SELECT pg_sleep(0.05)")
    rush = [asyncio.create_task(base.write(lambda db: db.execute(slow))) for _ in range(50)]
    states = set()
    while not all(one.done() for one in rush):
        states.add((await status.status()).state)
        await asyncio.sleep(0.05)
    failed = [one for one in rush if one.exception()]
    figure(f"{len(failed)} of {len(rush)} failed in a rush, {states}")
    assert failed == []
    assert states == {"ready"}
    await status.aclose()
    await base.aclose()


@pytest.mark.bar("K8")
async def test_a_sqlite_file_that_somebody_has_locked(
    outage: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "outage.db"
    async with outage(f"sqlite:///{file}") as found:
        async with found.under_way():
            with sqlite3.connect(file, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                red = await found.until_it_shows()
                other.execute("ROLLBACK")
            back = await found.until_it_ends()
            other.close()
        found.tell("SQLite locked", red, back)
        assert found.longest < 2.2
        assert await found.lost(f"sqlite:///{file}") == set()


@pytest.mark.bar("K8")
async def test_a_disk_that_is_full_under_a_sqlite_file(
    outage: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "outage.db"
    async with outage(f"sqlite:///{file}") as found:
        async with found.under_way():
            with full_disk():
                red = await found.until_it_shows()
                await found.until(lambda: "SQLITE_" in found.reason, "why", within=5)
            back = await found.until_it_ends()
        found.tell("disk full", red, back)
        assert await found.lost(f"sqlite:///{file}") == set()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may be written beyond a few pages: as near to a full disk as anybody can bring it.

    With room for more of them, what SQLite takes up would be free again once it was closed.
    """
    import resource  # noqa: PLC0415 # not everywhere

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def without_privileges(folder: Path) -> Iterator[None]:
    """Root may write whatever it likes; so it is nobody meanwhile, whose folder this is then."""
    mine = os.geteuid()
    if mine == 0:
        nobody = pwd.getpwnam("nobody").pw_uid
        for one in (folder, *folder.iterdir()):
            os.chown(one, nobody, -1)
        os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.mark.bar("K8")
async def test_a_sqlite_file_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory(prefix="minigate-") as folder:
        file = Path(folder, "users.db")
        base = connect_sql(f"sqlite:///{file}", pool_size=1)
        await upgrade(base)
        known = await make_store(base).find_or_create(APPID, identity("oKnown"))
        await base.aclose()
        file.chmod(0o400)  # noqa: ASYNC240 # nothing else is under way
        with without_privileges(file.parent):
            base = connect_sql(f"sqlite:///{file}", pool_size=1)
            store, status = make_store(base), DatabaseStatus(base, outages.Outage("sql"))
            read_only = ("database", "down", "OperationalError (SQLITE_READONLY)")
            assert await status.status() == read_only
            assert (await store.find_or_create(APPID, identity("oKnown"))).user == known.user
            with pytest.raises(UserStoreUnavailable):
                await store.find_or_create(APPID, identity("oNew"))
            for one in file.parent.iterdir():  # SQLite has given its mode to those beside it
                one.chmod(0o600)
            watch = Stopwatch()
            while (await status.status()).state != "ready":
                assert not watch.exceeds(BAR)
                await asyncio.sleep(0.05)
            assert (await store.find_or_create(APPID, identity("oNew"))).is_new
            await status.aclose()
            await base.aclose()
