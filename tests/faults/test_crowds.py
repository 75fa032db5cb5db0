"""One user's logins, checks and logouts by the hundred, at two workers; and guessers."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import orjson
import pytest
import redis.asyncio

from service.core.models import SessionId, handle_of
from service.simulator.state.identities import openid_of
from tests.support.effort import effort
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.process import LINUX_ONLY, Connection, RedisServer
from tests.support.running import running_service
from tests.support.settings import APPID
from tests.support.workers import clients_of_both_workers, two_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.process import Reply
    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.timeout(180)]

STORMS: Final = effort(3, 20)
LOGINS: Final = 200
REPLACEMENTS: Final = effort(5, 51)
TRIES: Final = 200
STALE_LOGOUTS: Final = effort(100, 1000)
UNISSUED: Final = effort(2_000, 10_000)
GUESSES: Final = effort(4_000, 100_000)
ADDRESSES: Final = 5
ALLOWED: Final = 100
"""Dead ids of an address, in a minute."""


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@asynccontextmanager
async def client_of(server: RedisServer) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        yield client
    finally:
        await client.aclose()


async def log_in(connection: Connection, code: str) -> Reply:
    return await connection.ask("POST", "/login", body=orjson.dumps({"code": code}))


def session_of(reply: Reply) -> str:
    assert reply.status == 200, reply
    return str(orjson.loads(reply.body)["data"]["sessionid"])


async def statuses(connection: Connection, sessions: Iterable[str]) -> list[int]:
    """What a worker says of each, asked one after the other."""
    return [
        (await connection.ask("GET", "/verify", sessionid=session)).status for session in sessions
    ]


@pytest.mark.bar("A2")
async def test_of_two_hundred_logins_at_once_one_session_is_left(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    # All of them are to get as far as Redis.
    patient = {"WECHAT_CONCURRENCY": "200", "REDIS_TIMEOUT_MS": "2000", "WECHAT_TIMEOUT_MS": "4000"}
    key = KEY_PREFIX + handle_of(APPID, openid_of(appid=APPID, user="alice"), "default")
    valid, lives = Counter[int](), []
    async with (
        client_of(server) as client,
        two_workers(server, simulator, tmp_path, **patient) as service,
        clients_of_both_workers(service, 1) as by_worker,
        AsyncExitStack() as crowd,
    ):
        everybody = [
            await crowd.enter_async_context(await Connection.open(service.port))
            for _ in range(LOGINS)
        ]
        for _ in range(STORMS):
            codes = [await simulator.code() for _ in everybody]
            replies = await asyncio.gather(*map(log_in, everybody, codes))
            lives.append(await client.pttl(key))
            issued = [session_of(reply) for reply in replies]
            assert len(set(issued)) == LOGINS
            told = await asyncio.gather(*(statuses(mine[0], issued) for mine in by_worker.values()))
            assert told[0] == told[1], "the workers disagree"
            valid[told[0].count(200)] += 1
            assert set(told[0]) == {200, 401}
            keys = [found async for found in client.scan_iter(f"{KEY_PREFIX}*")]
            assert keys == [key.encode()]
    figure(f"{STORMS} storms of {LOGINS}: {dict(valid)} valid; 1 key, {min(lives) / 1000:.1f} s")
    assert valid == {1: STORMS}
    assert all(7_190_000 < life <= 7_200_000 for life in lives)


@pytest.mark.bar("A3")
async def test_a_replaced_id_is_refused_by_all_workers_at_once(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    seen = Counter[int]()
    async with (
        two_workers(server, simulator, tmp_path) as service,
        clients_of_both_workers(service, 4) as by_worker,
    ):
        one, other = by_worker.values()
        former = session_of(await log_in(one[0], await simulator.code()))
        for number in range(REPLACEMENTS):
            by = (one, other)[number % 2][0]
            # Both have just looked at it.
            assert await statuses(one[1], [former]) == await statuses(other[1], [former]) == [200]
            newer = session_of(await log_in(by, await simulator.code()))
            asked = [
                statuses(connection, [former] * (TRIES // 6)) for connection in one[1:] + other[1:]
            ]
            for told in await asyncio.gather(*asked):
                seen.update(told)
            former = newer
    figure(f"{seen[200]} of {seen.total()} tries accepted")
    assert set(seen) == {401}


@pytest.mark.bar("A5")
async def test_a_logout_of_the_old_id_ends_no_new_session(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    lost, ended, typical = 0, Counter[bool](), 0.01
    async with (
        two_workers(server, simulator, tmp_path) as service,
        clients_of_both_workers(service, 2) as by_worker,
    ):
        one, other = by_worker.values()
        session = session_of(await log_in(one[0], await simulator.code()))
        for number in range(STALE_LOGOUTS):
            code = await simulator.code()
            login, logout = ((one[0], other[0]), (other[0], one[0]))[number % 2]

            async def log_out(
                connection: Connection, former: str, after: float = random.uniform(0, typical / 2)
            ) -> bool:
                await asyncio.sleep(after)
                reply = await connection.ask("POST", "/logout", sessionid=former)
                assert reply.status == 200
                return bool(orjson.loads(reply.body)["data"]["ended"])

            began = time.monotonic()
            reply, was_ended = await asyncio.gather(log_in(login, code), log_out(logout, session))
            # Up to half as late as a login takes, so that they meet at Redis.
            typical = 0.9 * typical + 0.1 * (time.monotonic() - began)
            ended[was_ended] += 1
            session = session_of(reply)
            told = [await statuses(one[1], [session]), await statuses(other[1], [session])]
            lost += told != [[200], [200]]
            if told != [[200], [200]]:
                session = session_of(await log_in(one[0], await simulator.code()))
        again = [await one[0].ask("POST", "/logout", sessionid=session) for _ in range(3)]
    figure(f"{lost} of {STALE_LOGOUTS} new sessions lost; {ended[False]} logouts came too late")
    assert lost == 0
    assert min(ended.values()) > 0, "they did not race"
    assert {reply.status for reply in again} == {200}


@pytest.mark.bar("A4")
@pytest.mark.parametrize(("renewal", "ends"), [("fixed", 2), ("sliding", 4)])
async def test_a_session_ends_when_its_time_is_up(
    settings: Callable[..., Settings], simulator: Simulator, figure: Figure, renewal: str, ends: int
) -> None:
    """However much it is used, and by the clock of who asks."""
    lifetime = {"session_ttl": 2, "session_renewal": renewal, "session_max_age": 4}
    configured = settings(wechat_api_base=(simulator.url,), **lifetime)
    async with (
        running_service(configured) as api,
        await Connection.open(int(api.url.rpartition(":")[2])) as connection,
    ):
        code = await simulator.code()
        before = time.monotonic()
        session = session_of(await log_in(connection, code))
        after = time.monotonic()
        last, first = 0.0, 0.0
        while not first or time.monotonic() < after + ends + 0.7:
            sent = time.monotonic()
            [status] = await statuses(connection, [session])
            came = time.monotonic()
            if status == 200:
                assert sent - after <= ends + 0.5
                assert not first, "it came back"
                last = came - before
            else:
                assert status == 401
                assert came - before >= ends - 0.1
                first = first or sent - after
            await asyncio.sleep(0.02)
    figure(f"{renewal}, {ends} s: taken until {last:.2f} s, refused from {first:.2f} s on")
    assert last >= ends - 0.3


def made_up() -> str:
    """Of the form of an id, and never issued."""
    return f"{secrets.token_urlsafe(17)[:22]}.{SessionId.new('A' * 22).secret}"


async def ask_all(
    port: int, sessions: Iterable[tuple[str, str | None]], *, at_once: int = 32
) -> Counter[int]:
    """The statuses of checks of all these ids, each asked from an address."""
    left, seen = iter(sessions), Counter[int]()

    async def client() -> None:
        async with await Connection.open(port) as connection:
            for session, address in left:
                reply = await connection.ask("GET", "/verify", sessionid=session, address=address)
                seen[reply.status] += 1

    await asyncio.gather(*(client() for _ in range(at_once)))
    return seen


@pytest.mark.bar("A7")
async def test_an_id_that_was_not_issued_is_nobodys(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    async with (
        client_of(server) as client,
        two_workers(server, simulator, tmp_path) as service,
        AsyncExitStack() as stack,
    ):
        connection = await stack.enter_async_context(await Connection.open(service.port))
        session = session_of(await log_in(connection, await simulator.code()))
        handle = session.partition(".")[0]

        async def keys() -> set[bytes]:
            """But for those of events, which are kept a moment after what they tell."""
            found = {key async for key in client.scan_iter()}
            return {
                key for key in found if not key.startswith((b"minigate:events", b"minigate:live:"))
            }

        before = await keys()
        ids = [(made_up(), None) for _ in range(UNISSUED // 2)]
        ids += [(f"{handle}.{made_up().partition('.')[2]}", None) for _ in range(UNISSUED // 2)]
        seen = await ask_all(service.port, ids)
        assert seen == {401: UNISSUED}
        assert await keys() <= before  # one may have expired: of a probe, a limit
        # Nor is an id taken that a client brings to its login.
        chosen = made_up()
        body = {"code": await simulator.code("bob"), "sessionid": chosen}
        reply = await connection.ask("POST", "/login", sessionid=chosen, body=orjson.dumps(body))
        assert session_of(reply) != chosen
        assert await statuses(connection, [chosen, "", session]) == [401, 401, 200]
    figure(f"{seen[200]} of {UNISSUED} taken, 0 keys made")


@pytest.mark.bar("H3")
async def test_guessers_get_nowhere_and_are_slowed_down(
    server: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    limits = {"LIMIT_DEAD_SESSIONS_PER_ADDRESS": f"{ALLOWED}/minute", "PROXIES_COUNT": "1"}
    async with (
        client_of(server) as client,
        two_workers(server, simulator, tmp_path, **limits) as service,
    ):
        addresses = [f"203.0.113.{number}" for number in range(ADDRESSES)]

        async def calls() -> int:
            stats = await client.info("commandstats")
            wanted = ("cmdstat_mget", "cmdstat_get", "cmdstat_evalsha", "cmdstat_eval")
            return sum(stats[name]["calls"] for name in wanted if name in stats)

        await ask_all(service.port, [(made_up(), "198.51.100.1")] * 10)  # scripts are loaded
        before = await calls()
        malformed = [
            (made_up()[: number % 66] + "!", addresses[number % ADDRESSES])
            for number in range(GUESSES // 4)
        ]
        began = time.monotonic()
        assert await ask_all(service.port, malformed) == {401: len(malformed)}
        # Each worker looks, once a second, which sessions have been ended, and how Redis is.
        own_looks = 12 * (time.monotonic() - began + 1)
        assert await calls() - before <= own_looks < len(malformed), "a malformed id got to Redis"
        began = time.monotonic()
        guesses = ((made_up(), addresses[number % ADDRESSES]) for number in range(GUESSES))
        seen = await ask_all(service.port, guesses)
        windows = 2 + (time.monotonic() - began) // 60
        asked = await calls() - before
    figure(
        f"0 of {GUESSES} taken, {seen[429]} slowed down; {asked / GUESSES:.1f} calls of Redis each,"
        f" 0 for {len(malformed)} malformed ones"
    )
    assert set(seen) == {401, 429}
    assert seen[401] <= ADDRESSES * ALLOWED * windows
    assert asked <= 3 * GUESSES
