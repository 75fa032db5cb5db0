"""What is kept of events, and how many sessions are said to live, on every kind of Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.core.errors import InvalidRequest, SessionStoreUnavailable
from service.core.events import Event
from service.redis.scripts import Scripts
from service.stores import event_record, event_writer
from service.stores.event_history import RedisEventHistory
from service.stores.event_writer import EventWriter
from service.stores.events import RedisEvents
from service.stores.live_slots import LiveSlots
from tests.contracts.conftest import client_at
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND
from tests.support.process import RedisServer, eventually
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from service.redis.scripts import Script
    from tests.contracts.conftest import Stores

KEY: Final = "minigate:events"
DEVICES: Final = ("phone", "pc")


@dataclass
class Kept:
    """Events of one worker, and how they are read."""

    events: RedisEvents
    writer: EventWriter
    history: RedisEventHistory

    def log_in(self, user: str, handle: str, **fields: str) -> None:
        whose: Any = {"appid": APPID, "device": "phone", **fields}
        self.events.record("login", user=user, handle=handle, **whose)


def keeping(stores: Any, *, kept: int = 1000, ttl: int = 7200) -> Kept:
    slots = LiveSlots(stores.client.prefix, ttl=ttl)
    writer = EventWriter(stores.scripts(), slots, kept=kept)
    history = RedisEventHistory(stores.client, slots, kept=kept, devices=DEVICES)
    return Kept(RedisEvents(writer), writer, history)


def handles(found: Sequence[Event]) -> list[str]:
    return [one.handle for one in found]


@ALSO_FAKEREDIS
async def test_the_newest_comes_first_with_all_that_was_told(stores: Stores) -> None:
    kept = keeping(stores)
    began = time.time_ns() // 1_000_000
    kept.log_in("u1", "h1")
    kept.events.record(
        "kicked", user="u2", handle="h2", appid=APPID, device="pc", reason="spam", by="wang"
    )
    await kept.writer.flush()
    newest, oldest = await kept.history.find()
    assert newest[1:-1] == ("kicked", "u2", "h2", APPID, "pc", "", "", "spam", "wang")
    assert oldest.event == "login"
    assert began <= oldest.at <= newest.at <= time.time_ns() // 1_000_000
    assert newest.id > oldest.id


@ALSO_FAKEREDIS
async def test_it_is_found_by_user_or_by_any_of_the_handles_and_by_name(stores: Stores) -> None:
    kept = keeping(stores)
    for number in range(30):
        kept.log_in(f"u{number % 3}", f"h{number}")
    kept.events.record("expired", handle="h4", reason="unknown")
    kept.events.record("logout", user="u1", handle="h4")
    await kept.writer.flush()
    find = kept.history.find
    assert handles(await find(user="u2", limit=3)) == ["h29", "h26", "h23"]
    assert handles(await find(handles=["h4", "h9"])) == ["h4", "h4", "h9", "h4"]
    assert len(await find(user="u0", handles=["h4"])) == 13
    assert [one.event for one in await find(user="u1", event="logout")] == ["logout"]
    assert await find(user="u") == []
    assert await find(user=APPID) == [], "another field"


@ALSO_FAKEREDIS
async def test_page_by_page_every_event_is_told_once(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.event_history._PAGE", 7)
    kept = keeping(stores)
    for number in range(100):
        kept.log_in("u1", f"h{number}")
    await kept.writer.flush()
    found: list[str] = []
    before = ""
    while page := await kept.history.find(user="u1", limit=9, before=before):
        found += handles(page)
        before = page[-1].id
    assert found == [f"h{number}" for number in reversed(range(100))]


@ONE_KIND
async def test_since_is_by_the_time_that_it_happened(stores: Stores) -> None:
    kept = keeping(stores)
    now = time.time_ns() // 1_000_000
    late = [Event(now - 60_000, "login", "u", "late"), Event(now, "login", "u", "now")]
    for one in reversed(late):  # it came to the stream last, and was before
        kept.writer.add(one)
    await kept.writer.flush()
    assert handles(await kept.history.find(since=now - 1000)) == ["now"]
    assert handles(await kept.history.find(since=now - 60_000)) == ["late", "now"]


@pytest.mark.parametrize("before", ["", "x", "1", "1-", "-1", "1-1-1", "1-1\n", "9" * 20 + "-0"])
@ONE_KIND
async def test_before_is_the_id_of_an_event(stores: Stores, before: str) -> None:
    if not before:
        assert await keeping(stores).history.find(before="0-0") == []
        assert await keeping(stores).history.find(before="5-0") == []
        return
    with pytest.raises(InvalidRequest) as refusal:
        await keeping(stores).history.find(before=before)
    assert refusal.value.data == {"field": "before", "why": "the id of an event"}


@ALSO_FAKEREDIS
async def test_the_oldest_go_and_no_more_is_looked_through(stores: Stores) -> None:
    kept = keeping(stores, kept=300)
    for number in range(1000):
        kept.log_in("u1", f"h{number}")
    await kept.writer.flush()
    assert 300 <= await stores.redis.xlen(KEY) <= 400  # whole nodes of the stream go
    found = handles(await kept.history.find(limit=5000))
    assert found == [f"h{number}" for number in range(999, 699, -1)]


@ALSO_FAKEREDIS
async def test_none_is_kept_where_none_is_to_be(stores: Stores) -> None:
    kept = keeping(stores, kept=0)
    kept.log_in("u1", "h1")
    await kept.writer.flush()
    assert await kept.history.find() == []
    assert not await stores.redis.exists(KEY)
    assert await kept.history.live_sessions(APPID) == 1


@ALSO_FAKEREDIS
async def test_what_is_none_of_ours_is_passed_over(stores: Stores) -> None:
    kept = keeping(stores)
    kept.log_in("u1", "h1")
    await kept.writer.flush()
    ours = event_record.write(Event(1, "login", "u1", "h1"))
    foreign: list[Any] = [
        {"e": "no JSON"},
        {"e": "[1]"},
        {"e": "null"},
        {"e": '{"event": "login"}'},
        {"e": '{"at": "1", "event": "login"}'},
        {"e": '{"at": true, "event": "login"}'},
        {"e": '{"at": 1, "event": "login", "user": 5}'},
        {"e": '{"at": 1, "event": "no name of ours"}'},
        {"e": '{"at": 1}'},
        {"e": b"\xff"},
        {"x": ours},
        {"e": ours, "and": "more"},
    ]
    for fields in foreign:
        await stores.redis.xadd(KEY, fields)
    assert handles(await kept.history.find()) == ["h1"]
    assert handles(await kept.history.find(user="u1")) == ["h1"]


@ALSO_FAKEREDIS
@pytest.mark.parametrize("foreign", ["text", "list"])
async def test_what_else_lies_there_is_taken_away(stores: Stores, foreign: str) -> None:
    kept = keeping(stores)
    slots = LiveSlots("minigate:", ttl=7200)
    live = slots.key(APPID, "phone", slots.at(time.time_ns() // 1_000_000))
    for key in (KEY, live):
        if foreign == "text":
            await stores.redis.set(key, "somebody's")
        else:
            await stores.redis.lpush(key, "somebody's")
    with pytest.raises(SessionStoreUnavailable):
        await kept.history.find()
    kept.log_in("u1", "h1")
    await kept.writer.flush()
    assert handles(await kept.history.find()) == ["h1"]
    assert await kept.history.live_sessions(APPID) == 1


@ALSO_FAKEREDIS
async def test_one_that_was_written_twice_is_told_once(stores: Stores) -> None:
    kept = keeping(stores)
    twice = Event(time.time_ns() // 1_000_000, "login", "u1", "h1", APPID, "phone", "request")
    for _ in range(2):
        kept.writer.add(twice)
    await kept.writer.flush()
    assert await stores.redis.xlen(KEY) == 2
    assert handles(await kept.history.find()) == ["h1"]


@ALSO_FAKEREDIS
async def test_sessions_are_counted_by_app_and_device_class_each_once(stores: Stores) -> None:
    kept = keeping(stores)
    for number in range(500):
        kept.log_in("u", f"h{number}", device=DEVICES[number % 2])
    for number in range(100):
        kept.log_in("u", f"h{number}", device=DEVICES[number % 2])
        kept.events.record("renewed", handle=f"h{number}", appid=APPID, device=DEVICES[number % 2])
    kept.log_in("u", "other", appid="wxother")
    kept.events.record("logout", handle="never logged in", appid=APPID, device="phone")
    await kept.writer.flush()
    count = kept.history.live_sessions
    assert await count(APPID) == pytest.approx(500, rel=0.03)
    assert await count(APPID, "pc") == pytest.approx(250, rel=0.03)
    assert await count("wxother") == 1
    assert await count("wxunknown") == 0


@ONE_KIND
async def test_sessions_are_counted_for_as_long_as_they_live(stores: Stores) -> None:
    kept = keeping(stores, ttl=2)
    kept.log_in("u", "h1")
    await kept.writer.flush()
    began = time.monotonic()
    [key] = [one async for one in stores.redis.scan_iter(match="minigate:live:*")]
    assert 0 < await stores.redis.pttl(key) <= 2300, "it goes of itself"
    while await kept.history.live_sessions(APPID):
        assert time.monotonic() < began + 4
        await asyncio.sleep(0.05)
    assert time.monotonic() > began + 1.9 - 2 / 24


@asynccontextmanager
async def running(kept: Kept) -> AsyncIterator[None]:
    kept.writer.start()
    try:
        yield
    finally:
        await kept.writer.aclose()


@ALSO_FAKEREDIS
async def test_they_come_to_redis_of_themselves_in_a_moment(stores: Stores) -> None:
    kept = keeping(stores)
    async with running(kept):
        kept.log_in("u", "h1")
        assert await kept.history.find() == [], "not on the way of who tells"
        async with asyncio.timeout(5):
            while not await kept.history.find():
                await asyncio.sleep(0.02)


@ONE_KIND
async def test_what_was_told_last_is_written_at_the_end(stores: Stores) -> None:
    kept = keeping(stores)
    async with running(kept):
        kept.log_in("u", "h1")
    assert handles(await kept.history.find()) == ["h1"]


@ONE_KIND
async def test_a_bug_in_one_of_them_keeps_no_other_back(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_writer, "_PAUSE_SECONDS", 0.01)
    kept = keeping(stores)
    write = event_record.write

    def failing(event: Event) -> bytes:
        if event.handle == "bad":
            raise RuntimeError("a bug")
        return write(event)

    monkeypatch.setattr(event_record, "write", failing)
    async with running(kept):
        kept.log_in("u", "bad")
        await eventually(lambda: "failed unexpectedly" in caplog.text, within=5, what="said")
        kept.log_in("u", "h1")
        async with asyncio.timeout(5):
            while not await kept.history.find():
                await asyncio.sleep(0.02)
    assert handles(await kept.history.find()) == ["h1"]


class CountedScripts(Scripts):
    """Counts how often one was to be run."""

    asked = 0

    async def run_idempotent(self, script: Script, key: str, *args: str | bytes | int) -> Any:
        self.asked += 1
        return await super().run_idempotent(script, key, *args)


class OwnServer:
    """Stores over a Redis that can be frozen."""

    def __init__(self, server: RedisServer) -> None:
        self.client = client_at(server.url)
        self.client.timeout = 0.2
        self.counted = CountedScripts(self.client)

    def scripts(self) -> Scripts:
        return self.counted


async def test_while_redis_is_away_nobody_waits_the_oldest_go_and_the_rest_comes_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_writer, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(event_writer, "_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(event_writer, "_MOST_WAITING", 100)
    async with RedisServer() as server:
        own = OwnServer(server)
        kept = keeping(own)
        async with running(kept):
            kept.log_in("u", "before")
            async with asyncio.timeout(5):
                while not await kept.history.find():
                    await asyncio.sleep(0.02)
            server.freeze()
            kept.log_in("u", "lost")
            await eventually(
                lambda: "append failed" in caplog.text or "live failed" in caplog.text,
                within=5,
                what="it is tried",
            )
            began = time.monotonic()
            for number in range(150):
                kept.log_in("u", f"h{number}")
            assert time.monotonic() - began < 5, "nobody waits for a time-out of 0.4 s"
            asked = own.counted.asked
            await eventually(
                lambda: own.counted.asked >= asked + 3, within=5, what="it is tried again"
            )
            server.thaw()
            async with asyncio.timeout(10):
                while "h149" not in handles(await kept.history.find(limit=1)):
                    await asyncio.sleep(0.02)
            found = handles(await kept.history.find(limit=1000))
            assert found[:100] == [f"h{number}" for number in range(149, 49, -1)]
            assert found[-1] == "before"
            # What was under way when it froze may have been written all the same.
            assert set(found[100:-1]) <= {"lost", *(f"h{number}" for number in range(50))}
            await eventually(lambda: "were lost while Redis" in caplog.text, within=5, what="said")
        await own.client.aclose()


async def test_a_stop_does_not_wait_for_a_redis_that_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with RedisServer() as server:
        own = OwnServer(server)
        kept = keeping(own)
        async with running(kept):
            await own.client.health()
            server.freeze()
            kept.log_in("u", "h1")
            began = time.monotonic()
        assert time.monotonic() - began < 3
        assert "events: 1 are lost, Redis did not take them" in caplog.text
        server.thaw()
        await own.client.aclose()
