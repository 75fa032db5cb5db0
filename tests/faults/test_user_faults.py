"""Databases, workers and token holders that die: who was told yes is there, nobody is twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import statistics
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import orjson
import pytest
import redis.asyncio
from sqlalchemy import select

from service import wiring
from service.app import create_app
from service.core.models import DEFAULT_AVATAR, User, UserMatch
from service.simulator.state.identities import openid_of
from service.sql.connect import connect_sql
from service.sql.rows import by_openid
from service.sql.schema import identities, users
from service.sql.users import SqlUsers, _new_id
from tests.support.effort import effort
from tests.support.keys import ACCESS_TOKEN_LOCK_PREFIX as LOCK_PREFIX
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.postgres import Postgres, running_postgres
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    _sockets_of,
    complete_environment,
    eventually,
)
from tests.support.proxy import ChaosProxy
from tests.support.settings import APPID
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Connection as SqlConnection

    from service.config.settings import Settings
    from service.core.models import WeChatIdentity
    from tests.support.figure import Figure
    from tests.support.running import Simulator


pytestmark = [LINUX_ONLY, pytest.mark.timeout(120)]

FETCH: Final = "/cgi-bin/stable_token"
KILLS: Final = int(os.environ.get("KILLS") or effort(15, 100))
"""How often a service dies."""
_KILLS_TO_BE_CAUGHT: Final = 100
"""So often at most, where one that writes too early must be found out: three do, mostly."""
_AT_ONCE: Final = 4


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL to ill-treat, which no other test leans on."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@dataclass
class Answer:
    """What a login brought."""

    status: int
    code: int
    data: dict[str, Any]
    took: float


async def ask(
    port: int, method: str, path: str, *, sessionid: str | None = None, body: object = None
) -> Answer:
    raw = b"" if body is None else orjson.dumps(body)
    watch = Stopwatch(alone=True)
    async with asyncio.timeout(20), await Connection.open(port) as connection:
        reply = await connection.ask(method, path, sessionid=sessionid, body=raw)
    envelope: dict[str, Any] = orjson.loads(reply.body or b'{"code": 0, "data": null}')
    return Answer(reply.status, envelope["code"], envelope["data"] or {}, watch.seconds)


async def log_in(port: int, code: str) -> Answer:
    return await ask(port, "POST", "/login", body={"code": code})


async def log_in_by_phone(port: int, simulator: Simulator, user: str) -> Answer:
    body = {
        "loginCode": await simulator.code(user),
        "code": (await simulator.phone(user))["code"],
    }
    return await ask(port, "POST", "/login/phone", body=body)


async def rows(address: str, table: Any) -> list[Any]:
    database = connect_sql(address, pool_size=1)
    try:
        return list(await database.read(lambda db: db.execute(select(table)).all()))
    finally:
        await database.aclose()


@dataclass
class Registrations:
    """New users without end, several at once; and what each of them was told."""

    service: ServiceProcess
    simulator: Simulator
    acknowledged: dict[str, str] = field(default_factory=dict)
    """User ids by name."""
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)
    longest: float = 0.0
    last_success: float = 0.0
    _number: int = 0
    _over: bool = False

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for _ in range(12):
                group.create_task(self._register())
            yield
            self._over = True

    async def _register(self) -> None:
        while not self._over:
            self._number += 1
            user = f"user-{self._number}"
            answer = await log_in(self.service.port, await self.simulator.code(user))
            self.seen[answer.status, answer.code] += 1
            self.longest = max(self.longest, answer.took)
            if answer.status == 200:
                self.acknowledged[user] = answer.data["user"]["id"]
                self.last_success = time.monotonic()


@dataclass
class Verdict:
    """What is left of the acknowledged ones after a database was killed under them."""

    registrations: Registrations
    lost: set[str]
    back: list[float]


async def kill_under_registrations(
    database: Postgres, redis: RedisServer, simulator: Simulator, home: Path, *, after: str = ""
) -> Verdict:
    """Three times; `after` is a statement that spoils the database first."""
    address = database.database()
    if after:
        database.psql(after.format(name=address.partition("@/")[2].partition("?")[0]))
    environment = complete_environment(
        redis=redis.url, wechat=simulator.url, DATABASE_URL=address, WEB_CONCURRENCY="2"
    )
    rng, back = random.SystemRandom(), []
    async with ServiceProcess(environment, home=home) as service:
        await service.ready()
        registrations = Registrations(service, simulator)
        async with registrations.under_way():
            for _ in range(3):
                enough = len(registrations.acknowledged) + 40
                await eventually(
                    lambda enough=enough: len(registrations.acknowledged) > enough,  # type: ignore[misc]
                    within=10,
                    what="so many more registrations",
                )
                await asyncio.sleep(rng.uniform(0, 0.3))
                await asyncio.to_thread(database.kill)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(database.start)
                began = time.monotonic()
                back.append(
                    await eventually(
                        lambda began=began: registrations.last_success > began,  # type: ignore[misc]
                        within=5,
                        what="registrations succeed again",
                    )
                )
    found = {row.openid: row.user_id for row in await rows(address, identities)}
    there = {row.id for row in await rows(address, users)}
    lost = {
        user
        for user, user_id in registrations.acknowledged.items()
        if found.get(openid_of(appid=APPID, user=user)) != user_id or user_id not in there
    }
    # One user for each identity, and one identity for each user.
    assert len(found) == len(there) == len(set(found.values()))
    return Verdict(registrations, lost, back)


@pytest.mark.bar("G2")
async def test_a_killed_database_loses_nobody_who_was_told_that_they_are_in(
    database: Postgres,
    redis_server: RedisServer,
    simulator: Simulator,
    tmp_path: Path,
    figure: Figure,
) -> None:
    verdict = await kill_under_registrations(database, redis_server, simulator, tmp_path)
    registrations = verdict.registrations
    figure(
        f"{len(verdict.lost)} of {len(registrations.acknowledged)} lost, longest "
        f"{registrations.longest:.2f} s, back after {max(verdict.back):.2f} s"
    )
    assert verdict.lost == set()
    assert set(registrations.seen) == {(200, 0), (503, 50301)}
    assert len(registrations.acknowledged) > 100
    assert max(verdict.back) < 2
    assert registrations.longest < 2.5


@pytest.mark.bar("G2")
async def test_a_database_that_acknowledges_too_early_is_caught(
    database: Postgres,
    redis_server: RedisServer,
    simulator: Simulator,
    tmp_path: Path,
    figure: Figure,
) -> None:
    hasty = "ALTER DATABASE {name} SET synchronous_commit = off"
    verdict = await kill_under_registrations(
        database, redis_server, simulator, tmp_path, after=hasty
    )
    figure(f"with synchronous_commit off {len(verdict.lost)} lost")
    assert verdict.lost


async def while_away(service: ServiceProcess, simulator: Simulator, sessions: list[str]) -> float:
    """Look at a service without its database; the longest that a login took."""
    for sid in sessions:
        assert (await ask(service.port, "GET", "/verify", sessionid=sid)).status == 200
        assert (await ask(service.port, "GET", "/wx/products/list", sessionid=sid)).status == 200
    codes = [await simulator.code(f"user-{number}") for number in range(20)]
    logins = [log_in(service.port, code) for code in codes]
    verifying = [ask(service.port, "GET", "/verify", sessionid=sid) for sid in sessions * 10]
    answers = await asyncio.gather(*logins)
    assert {(one.status, one.code) for one in answers} == {(503, 50301)}
    verified = await asyncio.gather(*verifying)
    assert {one.status for one in verified} == {200}
    watch = Stopwatch()
    while (await ask(service.port, "GET", "/readyz")).status != 503:
        assert not watch.exceeds(2)
        await asyncio.sleep(0.05)
    assert (await ask(service.port, "GET", "/readyz?exclude=database")).status == 200
    return max(one.took for one in answers)


@pytest.mark.parametrize("how", ["dead", "mute"])
async def test_without_the_database_sessions_hold_and_logins_are_refused_in_time(
    database: Postgres, redis_server: RedisServer, simulator: Simulator, tmp_path: Path, how: str
) -> None:
    address = database.database()
    async with ChaosProxy(str(database.socket)) as proxy:
        through = address.partition("?")[0].replace("@", f"@127.0.0.1:{proxy.port}")
        environment = complete_environment(
            redis=redis_server.url,
            wechat=simulator.url,
            DATABASE_URL=through,
            LOGIN_COALESCE_MS="0",
        )
        async with ServiceProcess(environment, home=tmp_path) as service:
            await service.ready()
            logins = [await log_in(service.port, await simulator.code(f"u{n}")) for n in range(5)]
            sessions = [login.data["sessionid"] for login in logins]
            if how == "dead":
                await proxy.refuse()
                proxy.cut()
            else:
                proxy.stall()
            longest = await while_away(service, simulator, sessions)
            print(f"a login is refused after {longest:.2f} s")  # noqa: T201 # a figure to keep
            if how == "dead":
                await proxy.accept()
            proxy.resume()
            watch = Stopwatch()
            while (await log_in(service.port, await simulator.code("u0"))).status != 200:
                assert not watch.exceeds(5)
            back = watch.seconds
            print(f"back after {back:.2f} s")  # noqa: T201 # a figure to keep
            assert back < 2
            assert longest < 2.1


class Hasty(SqlUsers):
    """Says that a new user is there a moment before that is true."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late: set[asyncio.Task[None]] = set()

    async def find_or_create(self, appid: str, identity: WeChatIdentity) -> UserMatch:
        known = await self._read(lambda db: by_openid(db, appid, identity.openid))
        if known:
            return await super().find_or_create(appid, identity)
        user_id = _new_id()
        task = asyncio.create_task(self._later(appid, identity, user_id))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        user = User(user_id, "x", DEFAULT_AVATAR, None, ban=None, created_at=0, updated_at=0)
        return UserMatch(user, is_new=True)

    async def _later(self, appid: str, identity: WeChatIdentity, user_id: str) -> None:
        def write(db: SqlConnection) -> None:
            rows = self._rows(db)
            if rows.claim_identity(appid, identity, user_id) == user_id:
                rows.insert_user(user_id)

        await self._write(write)


def phoenix(settings: Settings) -> None:
    """Serve in a child, and in another one as soon as that is killed: 200 lives in seconds."""
    listener = socket.create_server(("127.0.0.1", settings.port))
    for life in range(10_000):
        pid = os.fork()
        if not pid:
            app = create_app(settings=settings, name=f"life-{life}")
            app.run(sock=listener, single_process=True, motd=False, access_log=False)
            return
        os.waitpid(pid, 0)


@dataclass
class Mortal:
    """A service that is killed in the midst of logins."""

    service: ServiceProcess
    simulator: Simulator
    redis: RedisServer
    address: str
    rng: random.Random
    orphans: int = 0
    logins: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    typical: float = 0.015
    """Seconds that a login takes here."""
    _number: int = 0

    async def die(self) -> None:
        """Kill it at a random point of a few logins, and look what that left."""
        names = [f"user-{self._number + n}" for n in range(_AT_ONCE)]
        self._number += _AT_ONCE
        codes = [await self.simulator.code(name) for name in names]
        [worker] = self.service.workers
        tasks = [asyncio.create_task(self._attempt(code)) for code in codes]
        await asyncio.sleep(self.rng.uniform(0, 2 * self.typical))
        self.service.signal(signal.SIGKILL, worker)
        self.logins.update(await asyncio.gather(*tasks))
        await eventually(
            lambda: bool(self.service.workers - {worker}), within=10, what="another life"
        )
        self.orphans += await self.sessions_of_nobody()
        watch = Stopwatch()
        again = await asyncio.gather(*(self._log_in_again(name) for name in names))
        self.typical = (self.typical + statistics.median(one.took for one in again)) / 2
        self.slowest = max(self.slowest, watch.seconds)
        assert {(one.status, one.code) for one in again} == {(200, 0)}

    async def sessions_of_nobody(self) -> int:
        """How many sessions name a user who has no row."""
        client = redis.asyncio.Redis.from_url(self.redis.url)
        try:
            keys = [key async for key in client.scan_iter(f"{KEY_PREFIX}*", count=1000)]
            records: list[Any] = await client.mget(keys) if keys else []
        finally:
            await client.aclose()
        there = {row.id for row in await rows(self.address, users)}
        return sum(orjson.loads(record)["uid"] not in there for record in records)

    async def _attempt(self, code: str) -> str:
        try:
            answer = await log_in(self.service.port, code)
        except (OSError, EOFError):
            return "cut off"
        return str(answer.status)

    async def _log_in_again(self, name: str) -> Answer:
        code = await self.simulator.code(name)
        return await log_in(self.service.port, code)


@asynccontextmanager
async def mortal(
    redis_server: RedisServer, simulator: Simulator, home: Path, address: str, *, hasty: bool
) -> AsyncIterator[Mortal]:
    address = address or f"sqlite:///{home / 'users.db'}"
    environment = complete_environment(
        redis=redis_server.url,
        wechat=simulator.url,
        DATABASE_URL=address,
        LOG_LEVEL="WARNING",
        HASTY="1" if hasty else "",
    )
    command = (sys.executable, "-m", "tests.faults.test_user_faults")
    seed = os.environ.get("SEED") or str(random.SystemRandom().getrandbits(32))
    async with ServiceProcess(environment, home=home, command=command) as service:
        await service.ready()
        found = Mortal(service, simulator, redis_server, address, random.Random(seed))
        yield found
        print(  # noqa: T201 # figures to keep
            f"SEED={seed}: {found.logins}, {found.orphans} orphans, slowest {found.slowest:.2f} s"
        )
        assert "Traceback" not in service.output


@pytest.mark.bar("G3")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_service_that_is_killed_leaves_no_session_without_its_user(
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    simulator: Simulator,
    tmp_path: Path,
    figure: Figure,
    kind: str,
) -> None:
    address = request.getfixturevalue("database").database() if kind == "postgresql" else ""
    async with mortal(redis_server, simulator, tmp_path, address, hasty=False) as found:
        for _ in range(KILLS):
            await found.die()
        everybody = await rows(found.address, users)
    figure(f"{kind}: {found.orphans} of nobody in {KILLS} kills, next logins {found.slowest:.2f} s")
    assert found.orphans == 0
    assert len(everybody) == KILLS * _AT_ONCE
    assert found.slowest < 2
    # Some were answered, some were not: the moments were mixed.
    assert min(found.logins["200"], found.logins["cut off"]) > KILLS * _AT_ONCE / 20


@pytest.mark.bar("G3")
async def test_a_session_that_is_written_before_its_user_is_caught(
    redis_server: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with mortal(redis_server, simulator, tmp_path, "", hasty=True) as found:
        for _ in range(_KILLS_TO_BE_CAUGHT):
            with suppress(AssertionError):
                await found.die()
            if found.orphans:
                break
    assert found.orphans


def sorted_by_worker(
    service: ServiceProcess, connections: list[Connection]
) -> dict[int, list[Connection]]:
    """`worker_of` for many connections at one look."""
    inodes = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if local == service.port:
            inodes[remote] = fields[9]
    found: dict[int, list[Connection]] = {}
    for pid in service.workers:
        mine = _sockets_of(pid)
        found[pid] = [one for one in connections if inodes.get(one.local_port) in mine]
    return found


@asynccontextmanager
async def four_workers(
    redis_server: RedisServer, simulator: Simulator, home: Path, address: str
) -> AsyncIterator[tuple[ServiceProcess, dict[int, list[Connection]]]]:
    """A service of four workers, and fifty connections to each."""
    environment = complete_environment(
        redis=redis_server.url,
        wechat=simulator.url,
        DATABASE_URL=address,
        WEB_CONCURRENCY="4",
        REDIS_TIMEOUT_MS="2000",  # four workers on two cores wait for the cores above all
    )
    async with ServiceProcess(environment, home=home) as service:
        await service.ready()
        await eventually(lambda: len(service.workers) == 4, within=10, what="four workers")
        opened: list[Connection] = []
        by_worker: dict[int, list[Connection]] = {}
        try:
            while len(by_worker) < 4 or min(map(len, by_worker.values())) < 50:
                assert len(opened) < 2000, "one worker takes all connections"
                more = [await Connection.open(service.port) for _ in range(100)]
                opened += more
                await asyncio.gather(*(one.ask("GET", "/livez") for one in more))
                by_worker = sorted_by_worker(service, opened)
            yield service, by_worker
        finally:
            for connection in opened:
                connection.abort()


async def phone_logins(
    by_worker: dict[int, list[Connection]], simulator: Simulator, batch: str
) -> None:
    """Fifty at once on each worker, each of another user with a phone of their own.

    Who is told to come again, for a database that had no time, does so; the others are in.
    """
    left = list(enumerate(one for mine in by_worker.values() for one in mine[:50]))
    watch = Stopwatch()
    while left:
        assert not watch.exceeds(20)
        bodies = []
        for number, _ in left:
            user = f"{batch}-{number}"
            phone = await simulator.phone(user, phone=f"13{batch}{number:08}")
            bodies.append({"loginCode": await simulator.code(user), "code": phone["code"]})
        replies = await asyncio.gather(
            *(
                one.ask("POST", "/login/phone", body=orjson.dumps(body))
                for (_, one), body in zip(left, bodies, strict=True)
            )
        )
        came = [(one.status, orjson.loads(one.body)["code"]) for one in replies]
        assert set(came) <= {(200, 0), (503, 50301)}
        left = [one for one, answer in zip(left, came, strict=True) if answer[0] == 503]
    print(f"200 phone logins in {watch.elapsed:.2f} s")  # noqa: T201 # a figure


@pytest.mark.bar("C5")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_four_workers_share_one_token_and_renew_it_once(
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    simulator: Simulator,
    tmp_path: Path,
    figure: Figure,
    kind: str,
) -> None:
    address = "sqlite:///users.db"
    if kind == "postgresql":
        address = request.getfixturevalue("database").database()
    async with four_workers(redis_server, simulator, tmp_path, address) as (_, by_worker):
        await phone_logins(by_worker, simulator, "0")
        assert await simulator.calls(FETCH) == 1
        await simulator.fault("token_superseded", times=1)
        await phone_logins(by_worker, simulator, "1")
        assert await simulator.calls(FETCH) == 2
    figure(f"{kind}: 400 phone logins, 1 fetch and 1 renewal")


@pytest.mark.bar("C5")
async def test_when_the_worker_that_fetches_the_token_is_killed_another_one_does(
    redis_server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    environment = complete_environment(
        redis=redis_server.url, wechat=simulator.url, WEB_CONCURRENCY="2"
    )
    async with (
        redis.asyncio.Redis.from_url(redis_server.url) as client,
        ServiceProcess(environment, home=tmp_path) as service,
    ):
        await service.ready()
        await eventually(lambda: len(service.workers) == 2, within=5, what="two workers")
        await simulator.fault("hang", endpoint=FETCH, times=1)
        async with await Connection.open(service.port) as connection:
            await connection.ask("GET", "/livez")
            holder = service.worker_of(connection)
            assert holder is not None
            body = {
                "loginCode": await simulator.code(),
                "code": (await simulator.phone())["code"],
            }
            login = asyncio.create_task(
                connection.ask("POST", "/login/phone", body=orjson.dumps(body))
            )
            while await simulator.calls(FETCH) == 0:
                await asyncio.sleep(0.01)
            service.signal(signal.SIGKILL, holder)
            with pytest.raises((OSError, EOFError)):
                await login
            # Until then its listener may take a connection along.
            await eventually(lambda: holder not in service.workers, within=5, what="it is gone")
        assert await client.exists(LOCK_PREFIX + APPID)
        watch = Stopwatch()
        answer = await log_in_by_phone(service.port, simulator, "bob")
        took = watch.seconds
    figure(f"taken over after {took:.1f} s")
    assert (answer.status, answer.code) == (200, 0)
    assert took < 10
    assert await simulator.calls(FETCH) == 2


if __name__ == "__main__":
    from service.config.settings import load_settings
    from service.wiring import migrate

    configured = load_settings()
    asyncio.run(migrate(configured))
    if os.environ.get("HASTY"):
        patch.object(wiring, "SqlUsers", Hasty).start()
    phoenix(configured)
