"""What ending sessions all at once promises, whichever worker is asked afterwards."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import orjson
import pytest
from pydantic import SecretStr

from service.config.settings import AppEntry
from service.core.errors import InvalidRequest, SessionExpired, SessionStoreUnavailable
from service.core.lately_seen import LatelySeen
from service.core.models import WeChatIdentity
from service.stores import session_marks
from service.stores.lost_data import LostData
from service.stores.session_marks import RedisSessionMarks
from service.stores.sessions import RedisSessions
from service.stores.sessions_since import SessionsSince
from tests.contracts.kinds import ALSO_FAKEREDIS, CLUSTER, ONE_KIND
from tests.support.events import RecordedEvents
from tests.support.keys import ENDED_KEY, SESSION_PREFIX
from tests.support.settings import APP_SECRET, APPID, make_settings
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service.core.models import SessionId
    from service.redis.batching import Reading
    from tests.contracts.conftest import Stores

OTHER: Final = "wxother"
APPS: Final = (APPID, OTHER)
DEVICES: Final = ("phone", "pc")


@dataclass
class Worker:
    """As much of one as it takes, with a connection to Redis that all of them share."""

    sessions: RedisSessions
    marks: RedisSessionMarks
    since: SessionsSince

    async def log_in(
        self, openid: str = "oAlice", appid: str = APPID, device: str = "phone"
    ) -> SessionId:
        identity = WeChatIdentity(openid, secrets.token_bytes(16))
        opened = await self.sessions.create(
            identity, appid=appid, device=device, user_id=f"user of {openid}"
        )
        return opened.session_id

    async def lets_through(self, session_id: SessionId) -> bool:
        try:
            await self.sessions.validate(session_id)
        except SessionExpired:
            return False
        return True

    async def refuses_all(self, *session_ids: SessionId, within: float = 2.5) -> None:
        """Wait until it does."""
        watch = Stopwatch()
        while any([await self.lets_through(one) for one in session_ids]):
            assert not watch.exceeds(within)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def worker(stores: Stores, **overrides: object) -> AsyncIterator[Worker]:
    settings = make_settings(
        wechat_appid=None,
        wechat_secret=None,
        wechat_apps=tuple(AppEntry(appid=one, secret=SecretStr(APP_SECRET)) for one in APPS),
        device_classes=DEVICES,
        **overrides,
    )
    scripts, since, seen = stores.scripts(), SessionsSince(settings), LatelySeen()
    sessions = RedisSessions(
        stores.client, scripts, settings, events=RecordedEvents(), since=since, seen=seen
    )
    lost = LostData(sessions.are_any_there)
    marks = RedisSessionMarks(stores.client, scripts, since, lost)
    await marks.start()
    try:
        yield Worker(sessions, marks, since)
    finally:
        await marks.aclose()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers look ten times as often as they do."""
    monkeypatch.setattr(session_marks, "_EVERY_SECONDS", 0.1)


async def log_in_everywhere(one: Worker) -> dict[tuple[str, str], SessionId]:
    """A session for each app and device class."""
    return {
        (app, device): await one.log_in(appid=app, device=device)
        for app, device in product(APPS, DEVICES)
    }


async def pass_the_millisecond() -> None:
    """A mark ends what was opened before the millisecond in which it is set."""
    await asyncio.sleep(0.02)


async def now_ms(stores: Stores) -> int:
    return await stores.scripts().now_ms(ENDED_KEY)


@ALSO_FAKEREDIS
@pytest.mark.parametrize(
    ("appid", "device"), [(APPID, ""), ("", "pc"), (APPID, "pc"), ("", "")], ids=str
)
async def test_from_the_moment_that_is_told_no_worker_lets_one_through_and_all_others_live(
    stores: Stores, appid: str, device: str
) -> None:
    async with worker(stores) as one, worker(stores) as another:
        opened = await log_in_everywhere(one)
        await pass_the_millisecond()
        ended = await one.marks.end(appid, device, None)
        before = await now_ms(stores)
        assert before - 5000 < ended.before <= before
        dead = {
            session_id
            for (app, dev), session_id in opened.items()
            if appid in ("", app) and device in ("", dev)
        }
        live = set(opened.values()) - dead
        assert not any([await one.lets_through(session_id) for session_id in dead])
        while (left := ended.holds_from - await now_ms(stores)) > 0:
            assert left <= 2000
            await asyncio.sleep(left / 1000)
        for each in (one, another):
            assert not any([await each.lets_through(session_id) for session_id in dead])
            assert all([await each.lets_through(session_id) for session_id in live])
        # Now or later, by whatever worker.
        async with worker(stores) as third:
            assert not any([await third.lets_through(session_id) for session_id in dead])
            assert all([await third.lets_through(session_id) for session_id in live])


@ALSO_FAKEREDIS
@pytest.mark.usefixtures("often")
async def test_who_logs_in_afterwards_gets_a_session_of_their_own_which_lives(
    stores: Stores,
) -> None:
    """Even within the time in which logins share one."""
    async with (
        worker(stores, login_coalesce_ms=60_000) as one,
        worker(stores, login_coalesce_ms=60_000) as another,
    ):
        former = await one.log_in()
        await pass_the_millisecond()
        await one.marks.end(APPID, "", None)
        await another.refuses_all(former)
        await pass_the_millisecond()
        newer = await another.log_in()
        assert newer != former
        assert await one.lets_through(newer)
        assert await another.lets_through(newer)
        assert await one.log_in() == newer


@ALSO_FAKEREDIS
@pytest.mark.usefixtures("often")
async def test_an_earlier_mark_takes_back_no_later_one(stores: Stores) -> None:
    async with worker(stores) as one, worker(stores) as another:
        former = await one.log_in()
        await pass_the_millisecond()
        ended = await one.marks.end(APPID, "", None)
        kept = await one.log_in("oBob")
        for earlier in (ended.before - 1, ended.before - 60_000):
            answer = await another.marks.end(APPID, "", earlier)
            assert answer.before == earlier
        for each in (one, another):
            await each.refuses_all(former)
            assert await each.lets_through(kept)
        async with worker(stores) as third:
            assert not await third.lets_through(former)


async def test_of_many_that_are_set_at_once_each_holds(stores: Stores) -> None:
    async with worker(stores) as one, worker(stores) as another:
        opened = await log_in_everywhere(one)
        await pass_the_millisecond()
        await asyncio.gather(
            *(
                each.marks.end(app, device, None)
                for (app, device), each in zip(opened, (one, another, one, another), strict=True)
            )
        )
        async with worker(stores) as third:
            assert not any([await third.lets_through(gone) for gone in opened.values()])
        marks = orjson.loads(await stores.raw(ENDED_KEY))["ended"]
        assert {(app, device) for app, device, _ in marks} == set(opened)


async def test_a_time_in_the_past_ends_what_was_opened_before_and_nothing_else(
    stores: Stores,
) -> None:
    async with worker(stores) as one:
        former = await one.log_in()
        await pass_the_millisecond()
        between = await now_ms(stores)
        await pass_the_millisecond()
        later = await one.log_in("oBob")
        ended = await one.marks.end("", "", between)
        assert ended.before == between
        assert ended.holds_from > await now_ms(stores)
        assert not await one.lets_through(former)
        assert await one.lets_through(later)


@ALSO_FAKEREDIS
async def test_a_time_in_the_future_is_refused_and_ends_nothing(stores: Stores) -> None:
    async with worker(stores) as one:
        live = await one.log_in()
        with pytest.raises(InvalidRequest) as refusal:
            await one.marks.end("", "", await now_ms(stores) + 2000)
        assert (refusal.value.data or {})["field"] == "before"
        assert orjson.loads(await stores.raw(ENDED_KEY))["ended"] == []
        assert await one.lets_through(live)


async def test_a_sliding_session_that_has_been_ended_is_not_renewed(stores: Stores) -> None:
    sliding = {"session_renewal": "sliding", "session_ttl": 60}
    async with worker(stores, **sliding) as one:
        former = await one.log_in()
        key = SESSION_PREFIX + former.handle
        await stores.redis.pexpire(key, 20_000)  # less than half: a use would renew it
        await pass_the_millisecond()
        await one.marks.end(APPID, "", None)
        assert not await one.lets_through(former)
        assert await stores.redis.pttl(key) <= 20_000
        assert await one.sessions.restore_id(former.handle, former.digest) is None


async def test_the_record_stays_and_has_no_secret(stores: Stores) -> None:
    async with worker(stores) as one:
        await one.marks.end(APPID, "", None)
        assert await stores.redis.ttl(ENDED_KEY) == -1
        fields = orjson.loads(await stores.raw(ENDED_KEY))
        assert set(fields) == {"epoch", "at", "ended"}
        assert [mark[:2] for mark in fields["ended"]] == [[APPID, ""]]


@pytest.mark.parametrize("lost", ["all of it", "the marks"])
@pytest.mark.usefixtures("often")
async def test_a_worker_writes_back_what_redis_has_lost(stores: Stores, lost: str) -> None:
    """As after a failover to a replica that had fallen behind."""
    async with worker(stores) as one:
        former = await one.log_in()
        snapshot = await stores.raw(ENDED_KEY)
        await pass_the_millisecond()
        ended = await one.marks.end(APPID, "", None)
        if lost == "all of it":
            await stores.redis.delete(ENDED_KEY)
        else:
            await stores.redis.set(ENDED_KEY, snapshot)
        watch = Stopwatch()
        mark = str(ended.before).encode()
        while mark not in (await stores.redis.get(ENDED_KEY) or b""):
            assert not watch.exceeds(2)
            assert not await one.lets_through(former)
            await asyncio.sleep(0.01)
        async with worker(stores) as another:
            assert not await another.lets_through(former)


@pytest.mark.parametrize(
    "junk",
    [b"", b"x", b"[]", b"{}",
     b'{"epoch":1,"at":2,"ended":[]}', b'{"epoch":"x","at":0,"ended":[1]}',
     b'{"epoch":"x","at":0,"ended":[["a",null,3]]}',
     b'{"epoch":"x","at":0,"ended":[["","",99999999999999]]}'],
)  # fmt: skip
async def test_what_is_no_record_ends_nobodys_session_and_gives_way(
    stores: Stores, junk: bytes
) -> None:
    await stores.redis.set(ENDED_KEY, junk)
    async with worker(stores) as one:
        former = await one.log_in()
        assert await one.lets_through(former)
        await pass_the_millisecond()
        await one.marks.end(APPID, "", None)
        assert not await one.lets_through(former)
        assert orjson.loads(await stores.raw(ENDED_KEY))["ended"][0][0] == APPID


async def test_a_list_in_its_place_gives_way_too(stores: Stores) -> None:
    await stores.redis.lpush(ENDED_KEY, "x")
    async with worker(stores) as one:
        await one.marks.end(APPID, "", None)
        assert await stores.redis.type(ENDED_KEY) == b"string"


@dataclass
class Looks:
    """What becomes of the looks at the record; all else is read as ever."""

    held: asyncio.Event
    failing: bool = False
    asked: int = 0


@pytest.fixture
def looks(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks, read = Looks(asyncio.Event()), stores.client.read
    looks.held.set()

    async def look(key: str, *, with_ttl: bool = False) -> Reading:
        if key == ENDED_KEY:
            looks.asked += 1
            await looks.held.wait()
            if looks.failing:
                raise SessionStoreUnavailable
        return await read(key, with_ttl=with_ttl)

    monkeypatch.setattr(stores.client, "read", look)
    return looks


async def is_unavailable(one: Worker, session_id: SessionId) -> bool:
    try:
        await one.sessions.validate(session_id)
    except SessionStoreUnavailable:
        return True
    return False


@ONE_KIND
async def test_no_session_is_let_through_before_the_first_look(
    stores: Stores, looks: Looks
) -> None:
    looks.failing = True
    async with worker(stores) as one:
        opened = await one.log_in()
        assert await is_unavailable(one, opened)
        told: list[object] = []
        await stores.scripts().now_ms(SESSION_PREFIX + opened.handle)
        assert one.sessions.glance(opened, told.append)
        watch = Stopwatch()
        while not told:
            assert not watch.exceeds(1)
            await asyncio.sleep(0.01)
        assert told == [None]
        looks.failing = False
        assert await one.lets_through(opened)  # which waits for the next look


@ONE_KIND
async def test_a_worker_that_has_not_looked_lately_lets_nothing_through_until_it_has(
    stores: Stores, looks: Looks
) -> None:
    async with worker(stores) as one:
        opened = await one.log_in()
        looks.failing = True
        watch = Stopwatch()
        while not await is_unavailable(one, opened):
            assert not watch.exceeds(4)
            await asyncio.sleep(0.01)
        assert watch.seconds < 3
        # Meanwhile another one, which can write, ends it.
        async with worker(stores) as another:
            await another.marks.end(APPID, "", None)
        assert await is_unavailable(one, opened)
        looks.failing = False
        assert not await one.lets_through(opened)


@ONE_KIND
async def test_a_look_that_hangs_costs_nobody_anything(stores: Stores, looks: Looks) -> None:
    async with worker(stores) as one:
        opened = await one.log_in()
        looks.held.clear()
        asked, watch = looks.asked, Stopwatch()
        while looks.asked < asked + 2:  # the one that hangs has been given up
            assert not watch.exceeds(4)
            assert await one.lets_through(opened)
            await asyncio.sleep(0.01)
        looks.held.set()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert await one.lets_through(opened)
            await asyncio.sleep(0.01)


@pytest.mark.redis(CLUSTER)
async def test_in_a_cluster_the_others_go_on_where_the_marks_server_is_away(
    stores: Stores, looks: Looks
) -> None:
    async with worker(stores) as one:
        opened = await one.log_in()
        await pass_the_millisecond()
        await one.marks.end(OTHER, "", None)
        looks.failing = True
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert await one.lets_through(opened)
            await asyncio.sleep(0.05)


@ONE_KIND
async def test_an_old_answer_is_no_look(stores: Stores) -> None:
    """As of a process that stood still after it had asked."""
    async with worker(stores) as one:
        one.since.forget()
        one.marks._learn({}, asked=time.monotonic() - 1.9, now_ms=await now_ms(stores))
        assert not one.since.is_known


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


async def until(holds: Callable[[], Awaitable[bool] | bool]) -> None:
    watch = Stopwatch()
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert not watch.exceeds(3)
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("often")
async def test_when_redis_has_lost_all_each_worker_says_so_once(
    stores: Stores, errors: Callable[[], list[str]]
) -> None:
    async with worker(stores) as one, worker(stores) as another:
        for each in (one, another):
            assert await each.lets_through(await each.log_in())
        assert errors() == []  # at a first start
        await stores.redis.flushall()
        # Its users do log in again, in the same moment.
        assert await one.lets_through(await one.log_in())
        await until(lambda: len(errors()) >= 2)
        await asyncio.sleep(0.3)
        assert len(errors()) == 2
        assert all("lost what it held" in line for line in errors())
        async with worker(stores):
            await asyncio.sleep(0.3)
        assert len(errors()) == 2
        await stores.redis.flushall()  # and the next time again
        await until(lambda: len(errors()) == 4)


@pytest.mark.usefixtures("often")
async def test_when_the_record_alone_is_gone_that_is_said_otherwise(
    stores: Stores, errors: Callable[[], list[str]]
) -> None:
    async with worker(stores) as one, worker(stores) as another:
        for each, name in ((one, "oAlice"), (another, "oBob")):
            assert await each.lets_through(await each.log_in(name))
        await stores.redis.delete(ENDED_KEY)
        await until(lambda: len(errors()) >= 2)
        assert all("sessions are still there" in line for line in errors())
        assert len(errors()) == 2


@pytest.mark.usefixtures("often")
async def test_a_redis_that_goes_back_in_time_is_noticed_and_a_little_lag_is_not(
    stores: Stores, errors: Callable[[], list[str]]
) -> None:
    async with worker(stores):
        record = orjson.loads(await stores.raw(ENDED_KEY))

        async def was_rewritten() -> bool:
            return int(orjson.loads(await stores.raw(ENDED_KEY))["at"]) >= int(record["at"])

        for back, lines in ((70_000, 0), (3_600_000, 1)):
            old = record | {"at": record["at"] - back}
            await stores.redis.set(ENDED_KEY, orjson.dumps(old))
            await until(was_rewritten)
            assert len(errors()) == lines
        assert "its data is 3600 s older" in errors()[0]
