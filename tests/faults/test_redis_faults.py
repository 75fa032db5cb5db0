"""A Redis that is away, frozen, full, rude or confused: 503 at worst, and never a wrong answer."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import aiohttp
import orjson
import pytest
import redis.asyncio
from redis.exceptions import InvalidResponse

from service import wiring
from service.core.errors import SessionReplaced, SessionStoreUnavailable
from service.core.models import SessionId, WeChatIdentity, handle_of
from service.redis import held_connection, wire
from service.redis.wire import Wire
from service.simulator.state.identities import openid_of
from service.stores import sessions
from service.stores.sessions import RedisSessions
from tests.support.effort import effort
from tests.support.failover import pools_of
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
    resident,
)
from tests.support.proxy import ChaosProxy
from tests.support.running import Api, running_service
from tests.support.scripts import script
from tests.support.settings import APPID
from tests.support.stopwatch import Stopwatch
from tests.support.workers import two_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from pathlib import Path

    from service.config.settings import Settings
    from service.redis.wire import Batch
    from tests.support.figure import Figure
    from tests.support.process import Reply
from tests.support.running import Answer, Simulator

pytestmark = LINUX_ONLY

UNAVAILABLE: Final = (503, 50300)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@asynccontextmanager
async def admin(server: RedisServer) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        yield client
    finally:
        await client.aclose()


Serving = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def serving(settings: Callable[..., Settings], simulator: Simulator) -> Serving:
    """Starts the service over the Redis at a URL, asked over as many connections as it takes."""

    @asynccontextmanager
    async def serve(url: str, **overrides: object) -> AsyncIterator[Api]:
        values = {"wechat_api_base": (simulator.url,), "login_coalesce_ms": 0, **overrides}
        async with (
            running_service(settings(redis_url=url, **values)) as api,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            yield Api(api.url, http, api.app)

    return serve


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> str:
    answer = await api.login(await simulator.code(user))
    assert answer.status == 200, answer
    return str(answer.data["sessionid"])


def verify(api: Api, sessionid: str) -> Awaitable[Answer]:
    return api.ask("GET", "/verify", headers={"sessionid": sessionid})


def outcome(answer: Answer) -> tuple[int, int]:
    return answer.status, answer.code if answer.body else 0


async def hammer(
    api: Api, simulator: Simulator, sessions: list[str], *, count: int
) -> tuple[Counter[tuple[int, int]], float]:
    """Ask everything, 100 times a second; returns what was answered and the longest wait.

    Not more often: all who wait for a frozen server are answered at once, by the
    loop that also reads the answers. Less what that loop was late by at worst:
    either of two attempts is given up so much later.
    """
    codes = [await simulator.code() for _ in range(count // 4 + 1)]
    seen: Counter[tuple[int, int]] = Counter()
    longest = late = 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late = max(late, time.monotonic() - began - 0.01)

    async def ask(number: int) -> None:
        nonlocal longest
        sid = sessions[number % len(sessions)]
        began = time.monotonic()
        answer = await (
            lambda: api.session(sid),
            lambda: verify(api, sid),
            lambda: api.login(codes[number // 4]),
            lambda: api.logout(sid),
        )[number % 4]()
        longest = max(longest, time.monotonic() - began)
        seen[outcome(answer)] += 1

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(ask(number))
            await asyncio.sleep(1 / 100)
    watching.cancel()
    return seen, longest - 2 * late


@pytest.mark.bar("B1")
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
async def test_a_killed_redis_is_a_quick_503_and_back_as_soon_as_it_is(
    serving: Serving, simulator: Simulator, figure: Figure, *, tcp: bool
) -> None:
    async with RedisServer(tcp=tcp) as server, serving(server.url) as api:
        sessions = [await log_in(api, simulator, f"user-{n}") for n in range(20)]
        server.kill()
        seen, longest = await hammer(api, simulator, sessions, count=effort(200, 500))
        assert set(seen) == {UNAVAILABLE}
        assert longest <= 1
        await server.start()
        watch = Stopwatch()
        while (login := await api.login(await simulator.code())).status != 200:
            assert outcome(login) == UNAVAILABLE
            assert not watch.exceeds(2)
        sid = login.data["sessionid"]
        assert (await api.session(sid)).status == 200
        assert (await verify(api, sid)).status == 200
        assert (await api.logout(sid)).data == {"ended": True}
        back = watch.seconds
        assert back < 2
        figure(f"longest {longest:.2f} s, back after {back:.2f} s")


@pytest.mark.bar("B2")
async def test_a_frozen_redis_keeps_nobody_waiting(
    serving: Serving, server: RedisServer, simulator: Simulator, figure: Figure
) -> None:
    async with serving(server.url) as api:
        sessions = [await log_in(api, simulator, f"user-{n}") for n in range(20)]
        server.freeze()
        seen, longest = await hammer(api, simulator, sessions, count=200)
        assert set(seen) == {UNAVAILABLE}
        assert longest <= 1
        server.thaw()
        watch = Stopwatch()
        while (answer := await api.session(sessions[0])).status == 503:
            assert not watch.exceeds(2)
        # Logouts that were answered 503 have not happened either.
        assert [(await api.session(sid)).status for sid in sessions] == [200] * 20, answer
        back = watch.seconds
        figure(f"longest {longest:.2f} s, back after {back:.2f} s")


@pytest.mark.bar("B2")
async def test_eight_seconds_of_a_frozen_redis_take_no_memory(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    """By a service in a process of its own, of which checks are asked 200 times a second."""
    seen, longest = Counter[int](), 0.0
    async with two_workers(server, simulator, tmp_path) as service:

        async def ask(method: str = "GET", path: str = "/verify", body: bytes = b"") -> Reply:
            nonlocal longest
            async with await Connection.open(service.port) as connection:
                watch = Stopwatch(alone=True)
                reply = await connection.ask(method, path, sessionid=session, body=body)
                longest = max(longest, watch.seconds)
                return reply

        async def check() -> None:
            seen[(await ask()).status] += 1

        session = ""
        login = await ask("POST", "/login", orjson.dumps({"code": await simulator.code()}))
        session = orjson.loads(login.body)["data"]["sessionid"]
        await asyncio.gather(*(check() for _ in range(200)))
        assert seen == {200: 200}
        seen.clear()
        longest, before = 0.0, {pid: resident(pid) for pid in service.workers}
        server.freeze()
        async with asyncio.TaskGroup() as group:
            for _ in range(effort(2, 8) * 200):
                group.create_task(check())
                await asyncio.sleep(1 / 200)
        grown = max(resident(pid) - held for pid, held in before.items()) / 2**20
        server.thaw()
        watch = Stopwatch()
        while (await ask()).status != 200:
            assert not watch.exceeds(2)
        back = watch.seconds
    figure(f"{dict(seen)}, longest {longest:.2f} s, {grown:.1f} MB more, back after {back:.2f} s")
    assert set(seen) == {503}
    assert longest <= 1.5
    assert grown <= 20


@pytest.mark.bar("B6")
async def test_a_redis_that_is_read_only_for_a_while_loses_nobody(
    serving: Serving, server: RedisServer, simulator: Simulator, figure: Figure
) -> None:
    async with serving(server.url) as api, admin(server) as client:
        sessions = [await log_in(api, simulator, f"user-{n}") for n in range(20)]
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        seen = Counter[str]()

        async def ask_all(sid: str) -> None:
            seen[f"check {(await verify(api, sid)).status}"] += 1
            seen[f"login {(await api.login(await simulator.code())).status}"] += 1
            seen[f"logout {(await api.logout(sid)).status}"] += 1

        await asyncio.gather(*map(ask_all, sessions))
        # Its data may be old: to be refused is as good as to be told them.
        assert set(seen) <= {"check 200", "check 503", "login 503", "logout 503"}
        await client.execute_command("REPLICAOF", "NO", "ONE")
        watch = Stopwatch()
        while (await api.login(await simulator.code("alice"))).status != 200:
            assert not watch.exceeds(5)
            await asyncio.sleep(0.05)
        back = watch.seconds
        assert [(await verify(api, sid)).status for sid in sessions] == [200] * 20
    figure(f"{dict(seen)}, well after {back:.2f} s")


@pytest.mark.bar("B8")
async def test_a_redis_that_forgets_the_scripts_is_noticed_by_nobody(
    serving: Serving, server: RedisServer, simulator: Simulator, figure: Figure
) -> None:
    seen, flushed = Counter[tuple[str, int]](), 0
    async with serving(server.url) as api, admin(server) as client:
        codes = [(f"user-{n}", await simulator.code(f"user-{n}")) for n in range(effort(200, 1000))]

        async def come_and_go() -> None:
            while codes:
                login = await api.login(codes.pop()[1])
                seen["login", login.status] += 1
                if login.status != 200:
                    continue
                sid = login.data["sessionid"]
                seen["check", (await verify(api, sid)).status] += 1
                seen["logout", (await api.logout(sid)).status] += 1

        coming = asyncio.gather(*(come_and_go() for _ in range(8)))
        while not coming.done():
            await client.script_flush()
            flushed += 1
            await asyncio.sleep(0.01)
        await coming
    figure(f"0 errors of {seen.total()} answers, forgotten {flushed} times")
    assert {status for _, status in seen} == {200}
    assert flushed > 10


@contextmanager
def frozen_before_the_write(server: RedisServer) -> Iterator[None]:
    """A server that a login finds frozen when it writes the session, after all its reads."""
    write = RedisSessions._write

    async def freeze_and_write(*arguments: Any, **whose: Any) -> list[Any]:
        server.freeze()
        return await write(*arguments, **whose)

    with patch.object(RedisSessions, "_write", freeze_and_write):
        yield


@dataclass
class Freeze:
    """Freezes Redis at some moment of a login and looks what became of the session before."""

    server: RedisServer
    simulator: Simulator
    api: Api

    async def kept(self, *, before_write: bool) -> bool:
        """Whether the former session outlived a login that was answered 503."""
        former = await log_in(self.api, self.simulator)
        code = await self.simulator.code()
        if before_write:
            with frozen_before_the_write(self.server):
                login = await self.api.login(code)
        else:
            self.server.freeze()
            login = await self.api.login(code)
        assert outcome(login) == UNAVAILABLE
        return await self._alive_after_thaw(former)

    async def _alive_after_thaw(self, former: str) -> bool:
        self.server.thaw()
        async with admin(self.server) as client:
            for _ in range(3):  # a round each: by then it has worked through its backlog
                await client.ping()
        watch = Stopwatch()
        while (answer := await self.api.session(former)).status == 503:
            assert not watch.exceeds(2)
        return answer.status == 200


@asynccontextmanager
async def freezing(
    serving: Serving, server: RedisServer, simulator: Simulator
) -> AsyncIterator[Freeze]:
    async with serving(server.url, redis_timeout_ms=150) as api:
        yield Freeze(server, simulator, api)


@pytest.mark.bar("B3")
@pytest.mark.parametrize("before_write", [False, True], ids=["at the start", "before the write"])
async def test_a_login_that_was_answered_503_does_not_land_when_redis_wakes_up(
    serving: Serving,
    server: RedisServer,
    simulator: Simulator,
    figure: Figure,
    *,
    before_write: bool,
) -> None:
    async with freezing(serving, server, simulator) as freeze:
        kept = [await freeze.kept(before_write=before_write) for _ in range(effort(6, 30))]
    figure(f"{kept.count(False)} of {len(kept)} landed")
    assert all(kept)


async def test_a_change_cannot_happen_from_the_moment_on_at_which_it_was_called_failed(
    settings: Callable[..., Settings], server: RedisServer
) -> None:
    """The same without HTTP in between, where a millisecond too early shows."""
    tight = settings(redis_url=server.url, redis_timeout_ms=20, login_coalesce_ms=0)
    who = WeChatIdentity("oAlice", secrets.token_bytes(16))
    landed = 0
    async with wiring.open_services(tight) as services, admin(server) as client:
        sessions = services.sessions
        log_in_once = partial(sessions.create, who, appid=APPID, device="default", user_id="alice")
        for _ in range(60):
            former = None
            while former is None:
                with suppress(SessionStoreUnavailable):  # 20 ms are little on a busy machine
                    former = await log_in_once()
            with pytest.raises(SessionStoreUnavailable), frozen_before_the_write(server):
                await log_in_once()
            server.thaw()
            for _ in range(3):
                await client.ping()
            checked = False
            while not checked:
                with suppress(SessionStoreUnavailable):
                    try:
                        await sessions.validate(former.session_id)
                    except SessionReplaced:
                        landed += 1
                    checked = True
    assert landed == 0


async def test_an_erasure_that_was_called_failed_takes_no_session_when_redis_wakes_up(
    settings: Callable[..., Settings], server: RedisServer
) -> None:
    tight = settings(redis_url=server.url, redis_timeout_ms=100)
    who = WeChatIdentity("oAlice", secrets.token_bytes(16))
    async with wiring.open_services(tight) as services, admin(server) as client:
        sessions = services.sessions
        opened = await sessions.create(who, appid=APPID, device="default", user_id="alice")
        for _ in range(3):
            server.freeze()
            with pytest.raises(SessionStoreUnavailable):
                await sessions.delete(opened.session_id.handle)
            server.thaw()
            for _ in range(3):  # a round each: by then it has worked through its backlog
                await client.ping()
            await sessions.validate(opened.session_id)


@pytest.mark.bar("B3")
async def test_without_its_deadline_such_a_login_would_land(
    serving: Serving, server: RedisServer, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = "if now > tonumber(ARGV[1]) then"
    unfenced = script("create")
    assert unfenced.text.count(fence) == 1
    unfenced.text = unfenced.text.replace(fence, "if false then")
    unfenced.sha = hashlib.sha1(unfenced.text.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(sessions, "_CREATE", unfenced)
    async with freezing(serving, server, simulator) as freeze:
        kept = [await freeze.kept(before_write=True) for _ in range(3)]
    assert not all(kept)


@dataclass
class Injection:
    """Puts stray replies on idle connections to Redis, and looks who is told what after it."""

    proxy: ChaosProxy
    simulator: Simulator
    api: Api
    sessions: dict[str, str]
    """Of each user, by openid."""

    async def wrong_answers(self, stray: bytes) -> list[str]:
        """What was neither right nor 503."""
        wrong = []
        for together in (False, True):
            await self._warm_up()
            await self._inject(stray)
            asked = [self._verify(openid) for openid in self.sessions] + [self._log_in_and_out()]
            if together:
                found = await asyncio.gather(*asked)
            else:
                found = [await one for one in asked]
            wrong += [f"{one}, together: {together}" for one in found if one]
        return wrong

    async def _warm_up(self) -> None:
        """Have several connections open and all of them idle."""
        for _ in range(3):
            await asyncio.gather(*map(self._verify, self.sessions), self._log_in_and_out())

    async def _inject(self, stray: bytes) -> None:
        assert self.proxy.inject(stray), "no connection was idle"
        await eventually(self._all_unread, within=2, what="the strays arrived")

    async def _verify(self, openid: str) -> str:
        answer = await verify(self.api, self.sessions[openid])
        shown = answer.headers.get("X-Auth-Openid")
        if outcome(answer) == UNAVAILABLE or (answer.status == 200 and shown == openid):
            return ""
        return f"verify: {answer.status}, {'another' if shown not in {None, openid} else 'same'}"

    async def _log_in_and_out(self) -> str:
        login = await self.api.login(await self.simulator.code("guest"))
        if outcome(login) == UNAVAILABLE:
            return ""
        sid = "" if login.code else login.data["sessionid"]
        if not sid or sid[:22] in {other[:22] for other in self.sessions.values()}:
            return f"login: {login.status}, none or another's session"
        shown = await verify(self.api, sid)
        if shown.status not in {200, 503}:
            return f"login: its session is {shown.status}"
        logout = await self.api.logout(sid)
        if outcome(logout) == UNAVAILABLE:
            return ""
        if logout.data != {"ended": True}:
            return "logout: not ended, it says"
        after = await verify(self.api, sid)
        return "" if after.status in {401, 503} else f"logout: its session is {after.status}"

    def _all_unread(self) -> bool:
        """Whether something waits to be read on every idle connection of the pool."""
        idle: list[Any] = pool_of(self.api)._available_connections
        return all(one._reader._buffer for one in idle if one._reader)


def pool_of(api: Api) -> Any:
    [pool] = pools_of(api)
    return pool


@asynccontextmanager
async def injecting(
    serving: Serving, server: RedisServer, simulator: Simulator
) -> AsyncIterator[Injection]:
    async with (
        ChaosProxy(server.socket) as proxy,
        serving(f"redis://127.0.0.1:{proxy.port}") as api,
    ):
        sessions = {}
        for user in (f"user-{number}" for number in range(12)):
            sessions[openid_of(appid=APPID, user=user)] = await log_in(api, simulator, user)
        yield Injection(proxy, simulator, api, sessions)


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


STRAYS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "nil": lambda _: b"*-1\r\n",
    "array-of-nil": lambda _: b"*1\r\n$-1\r\n",
    "nil-and-none": lambda _: b"*1\r\n$-1\r\n+none\r\n",
    "record-in-array": lambda record: b"*1\r\n" + bulk(record),
    "record": bulk,
    "several": lambda record: b"*1\r\n" + bulk(record) + b"*1\r\n$-1\r\n" + bulk(record),
    "script-reply": lambda _: b"*2\r\n$6\r\nabsent\r\n:9999999999999\r\n",
    "half-a-reply": lambda record: (b"*1\r\n" + bulk(record))[:-40],
    "push": lambda _: b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nx\r\n",
}


@pytest.mark.bar("A8", "I3")
@pytest.mark.parametrize("kind", STRAYS)
async def test_a_stray_reply_reaches_nobody(
    serving: Serving, server: RedisServer, simulator: Simulator, kind: str
) -> None:
    async with injecting(serving, server, simulator) as injection, admin(server) as client:
        record = await client.get(KEY_PREFIX + next(iter(injection.sessions.values()))[:22])
        assert isinstance(record, bytes)
        assert await injection.wrong_answers(STRAYS[kind](record)) == []
        # All is well afterwards, and not merely for want of answers.
        statuses = [
            (await verify(injection.api, sid)).status for sid in injection.sessions.values()
        ]
        assert statuses == [200] * 12


class Trusting(Wire):
    """One that takes what comes for the reply to what is asked next, as the driver does."""

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._deliver()

    def send(self, batch: Batch) -> bool:
        sent = super().send(batch)
        self._deliver()
        return sent

    def _deliver(self) -> None:
        while self._sent and (reply := self._reader.gets()) is not wire._INCOMPLETE:
            self._replies.append(reply)
            if len(self._replies) == self._sent[0].replies:
                replies, self._replies = self._replies[:-1], []
                batch = self._sent.popleft().batch
                if batch.fits(replies):
                    batch.answer(replies)
                else:
                    batch.fail(InvalidResponse())


@pytest.mark.bar("A8")
async def test_without_the_look_at_what_comes_a_stray_reply_would_be_believed(
    serving: Serving, server: RedisServer, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(held_connection, "Wire", Trusting)
    # A nil alone would not be: TYPE, which is asked next, gets the record that belongs to the nil.
    monkeypatch.setattr(RedisSessions, "_check_absent", nothing)
    async with injecting(serving, server, simulator) as injection:
        # Two for a look with the number behind it, and as many for the look after that.
        assert await injection.wrong_answers(b"*1\r\n$-1\r\n" * 4) != []


async def test_the_driver_by_default_hands_a_stray_reply_to_the_next_caller(
    server: RedisServer,
) -> None:
    async with ChaosProxy(server.socket) as proxy:
        client = redis.asyncio.Redis.from_url(f"redis://127.0.0.1:{proxy.port}", socket_timeout=1)
        await client.set("name", "right")
        assert proxy.inject(bulk(b"stray")) == 1
        pool: Any = client.connection_pool
        [connection] = pool._available_connections
        await eventually(lambda: connection._reader._buffer, within=2, what="the stray arrived")
        assert await client.get("name") == b"stray"
        await client.aclose()


@pytest.mark.bar("B5")
async def test_a_full_redis_refuses_logins_and_keeps_the_sessions_it_has(
    serving: Serving, server: RedisServer, simulator: Simulator
) -> None:
    async with serving(server.url) as api, admin(server) as client:
        alice, bob = [await log_in(api, simulator, user) for user in ("alice", "bob")]
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", 1)
        assert outcome(await api.login(await simulator.code("alice"))) == UNAVAILABLE
        assert (await api.session(alice)).status == 200

        # Once more, full only after the code has been exchanged.
        await client.config_set("maxmemory", 0)
        await simulator.fault("latency", median_ms=200, tail_ms=200, times=1)
        brought = await simulator.exchanges()
        login = asyncio.create_task(api.login(await simulator.code("alice")))
        while await simulator.exchanges() == brought:
            await asyncio.sleep(0.001)
        await client.config_set("maxmemory", 1)
        assert outcome(await login) == UNAVAILABLE
        assert (await api.session(alice)).status == 200
        assert (await verify(api, bob)).status == 200

        assert (await api.logout(bob)).data == {"ended": True}
        assert (await api.session(bob)).status == 401
        await client.config_set("maxmemory", 0)
        again = await log_in(api, simulator, "alice")
        assert ((await api.session(again)).status, (await api.session(alice)).status) == (200, 401)


@pytest.mark.bar("B4")
async def test_idle_connections_that_redis_has_closed_are_noticed_by_nobody(
    serving: Serving, server: RedisServer, simulator: Simulator, figure: Figure
) -> None:
    async with serving(server.url) as api, admin(server) as client:
        sessions = [await log_in(api, simulator, f"user-{n}") for n in range(50)]
        killed = 0
        for _ in range(20):
            answers = await asyncio.gather(*(verify(api, sid) for sid in sessions))
            assert Counter(answer.status for answer in answers) == {200: 50}
            killed += int(await client.execute_command("CLIENT", "KILL", "TYPE", "normal"))
            # Logins in between, whose scripts may be sent anew but not run anew.
            sessions[0] = await log_in(api, simulator, "user-0")
        figure(f"0 of {20 * 50} noticed, {killed} connections closed")
        assert killed >= 20


@pytest.mark.bar("B7")
async def test_connections_stay_within_workers_times_pool(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    pool, workers = 3, 2
    environment = complete_environment(
        redis=server.url,
        wechat=simulator.url,
        WEB_CONCURRENCY=str(workers),
        REDIS_MAX_CONNECTIONS=str(pool),
        LOG_LEVEL="WARNING",
    )
    async with admin(server) as client, ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await eventually(lambda: len(service.workers) == workers, within=5, what="two workers")
        await client.ping()
        await client.config_set("maxclients", workers * pool + 1)
        statuses: Counter[int] = Counter()
        codes = [await simulator.code(f"user-{number}") for number in range(800)]

        async def burst() -> None:
            connection = await Connection.open(service.port)
            for _ in range(10):
                body = orjson.dumps({"code": codes.pop()})
                reply = await connection.ask("POST", "/login", body=body)
                statuses[reply.status] += 1
                if reply.status != 200:
                    continue
                sid = orjson.loads(reply.body)["data"]["sessionid"]
                for method, path in (("GET", "/verify"), ("POST", "/logout")):
                    statuses[(await connection.ask(method, path, sessionid=sid)).status] += 1
            connection.abort()

        peak = 0
        bursts = asyncio.gather(*(burst() for _ in range(80)))
        while not bursts.done():
            peak = max(peak, (await client.info("clients"))["connected_clients"] - 1)
            await asyncio.sleep(0.002)
        await bursts
        rejected = (await client.info("stats"))["rejected_connections"]
    figure(f"{peak} connections at most, {dict(statuses)}")
    assert rejected == 0
    assert peak <= workers * pool
    assert peak > workers  # it was a burst
    assert set(statuses) <= {200, 503}
    assert statuses[200] > 1000


@pytest.mark.bar("A8")
async def test_clients_that_hang_up_mix_up_nobody(
    serving: Serving, server: RedisServer, simulator: Simulator, figure: Figure
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)  # repeatable
    print(f"seed {seed}")  # noqa: T201 # to repeat a failure
    async with (
        ChaosProxy(server.socket) as proxy,
        serving(f"redis://127.0.0.1:{proxy.port}") as api,
    ):
        sessions = {}
        for user in (f"user-{number}" for number in range(100)):
            sessions[openid_of(appid=APPID, user=user)] = await log_in(api, simulator, user)
        codes = [(f"guest-{n}", await simulator.code(f"guest-{n}")) for n in range(400)]
        proxy.delay = {"up": (0, 0.004), "down": (0, 0.004)}
        port = int(api.url.rpartition(":")[2])
        left = iter(range(5000))
        seen: Counter[str] = Counter()

        async def ask(connection: Connection) -> str:
            if codes and rng.random() < 0.2:
                user, code = codes.pop()
                reply = await connection.ask("POST", "/login", body=orjson.dumps({"code": code}))
                assert reply.status == 200, reply
                sid = SessionId.parse(orjson.loads(reply.body)["data"]["sessionid"])
                assert sid is not None
                own = handle_of(APPID, openid_of(appid=APPID, user=user), "default")
                return "right" if sid.handle == own else "wrong"
            openid, session = rng.choice(list(sessions.items()))
            reply = await connection.ask("GET", "/verify", sessionid=session)
            assert reply.status == 200, reply
            return "right" if reply.headers["x-auth-openid"] == openid else "wrong"

        async def client() -> None:
            connection = await Connection.open(port)
            for _ in left:
                if rng.random() < 0.5:
                    seen[await ask(connection)] += 1
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(rng.uniform(0, 0.02)):
                        seen[await ask(connection)] += 1
                        continue
                seen["hung up"] += 1
                connection.abort()
                connection = await Connection.open(port)
            connection.abort()

        await asyncio.gather(*(client() for _ in range(64)))
        in_use = pool_of(api)._in_use_connections
        # But those that are held, for reads and for commands.
        await eventually(lambda: len(in_use) <= 2, within=3, what="every connection is given back")
    figure(f"{seen['wrong']} of {seen['right']} wrong, {seen['hung up']} hung up")
    assert seen["wrong"] == 0
    assert seen["hung up"] > 800
    assert seen["right"] > 2200
