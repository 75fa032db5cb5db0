"""All sessions of one mini-program are ended at once, among very many, while others are checked."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections import Counter
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
import pytest
from pydantic import SecretStr
from redis import Redis

from service.config.settings import AppEntry
from service.core.lifetime import Lifetime
from service.core.models import SessionId, WeChatIdentity, handle_of
from service.stores import session_record
from service.stores.keyring import Keyring
from service.wiring import open_admin
from tests.support.effort import effort
from tests.support.keys import SESSION_PREFIX
from tests.support.process import LINUX_ONLY, RedisServer, eventually
from tests.support.settings import APP_SECRET, SECRET_KEY, make_settings
from tests.support.workers import clients_of_both_workers, two_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from service.core.admin import Admin
    from tests.support.figure import Figure
    from tests.support.process import Connection
    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

A: Final = "wxaaaaaaaaaaaaaaaa"
B: Final = "wxbbbbbbbbbbbbbbbb"
SESSIONS: Final = effort(6_000, 100_000)
"""Of both together."""
CHECKS: Final = effort(2_000, 20_000)
"""Of the other one's sessions, while the first one's are ended."""
SAMPLE: Final = effort(300, 3_000)
"""Of the ended ones, asked of either worker from the moment on that it is said to hold."""
USERS: Final = 100
APPS: Final = [{"appid": appid, "secret": APP_SECRET} for appid in (A, B)]


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


def open_sessions(url: str, appid: str, count: int) -> list[str]:
    """So many live sessions, each of an openid of its own; returns their ids."""
    keyring = Keyring([SECRET_KEY], purpose="session")
    lifetime = Lifetime.of(ttl=7200, max_age=7200, sliding=False)
    opened: list[str] = []
    with Redis.from_url(url) as client:
        for numbers in _batches(count, 1000):
            pipeline = client.pipeline(transaction=False)
            for number in numbers:
                openid = f"o{number:027d}"
                session_id = SessionId.new(handle_of(appid, openid, "default"))
                record = session_record.write(
                    session_id,
                    WeChatIdentity(openid, bytes(16)),
                    appid=appid,
                    device="default",
                    user_id=f"user{number % USERS}",
                    issued_at=time.time_ns() // 1_000_000,
                    lifetime=lifetime,
                    keyring=keyring,
                )
                pipeline.set(SESSION_PREFIX + session_id.handle, record, ex=7200)
                opened.append(session_id.text)
            pipeline.execute()
    return opened


def _batches(count: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def add_users(database: Path) -> None:
    """The users of all these sessions, so that none is taken for gone."""
    rows = [(f"user{number}", "x", "default-avatar.png", 0, 0) for number in range(USERS)]
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.executemany(
            "INSERT INTO users (id, nickname, avatar, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?)",
            rows,
        )


@asynccontextmanager
async def operator(url: str) -> AsyncIterator[Admin]:
    """An operator's own process, as the command line is one."""
    settings = make_settings(
        redis_url=url,
        wechat_appid=None,
        wechat_secret=None,
        wechat_apps=tuple(AppEntry(appid=one, secret=SecretStr(APP_SECRET)) for one in (A, B)),
    )
    async with open_admin(settings) as opened:
        yield opened.admin


@dataclass
class Checks:
    """Checks that go on until they are told to stop; what they were told."""

    answers: Counter[int] = field(default_factory=Counter)
    last_let_through: float = 0.0
    stop: bool = False

    async def run(self, connection: Connection, session_ids: Iterable[str]) -> None:
        for session_id in itertools.cycle(session_ids):
            if self.stop:
                return
            status = (await connection.ask("GET", "/verify", sessionid=session_id)).status
            self.answers[status] += 1
            if status == 200:
                self.last_let_through = time.time()


@pytest.mark.timeout(effort(120, 600))
async def test_within_two_seconds_no_worker_lets_one_through_and_the_others_are_all_served(
    redis: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    more = {
        "WECHAT_APPID": "",
        "WECHAT_SECRET": "",
        "WECHAT_APPS": orjson.dumps(APPS).decode(),
    }
    async with two_workers(redis, simulator, tmp_path, **more) as service:
        add_users(tmp_path / "users.db")
        ended_ones = await asyncio.to_thread(open_sessions, redis.url, A, SESSIONS // 2)
        others = await asyncio.to_thread(open_sessions, redis.url, B, SESSIONS - SESSIONS // 2)
        async with (
            clients_of_both_workers(service, each=6) as clients,
            operator(redis.url) as admin,
        ):
            doomed, served = Checks(), Checks()
            async with asyncio.TaskGroup() as tasks:
                for number, mine in enumerate(clients.values()):
                    for at, connection in enumerate(mine[:4]):
                        start = (4 * number + at) * len(others) // 8
                        mine_of_others = others[start:] + others[:start]
                        tasks.create_task(served.run(connection, mine_of_others))
                    tasks.create_task(doomed.run(mine[4], ended_ones[number::2]))
                await eventually(
                    lambda: doomed.answers[200] > 50, within=20, what="they live before"
                )
                assert set(doomed.answers) == {200}
                called = time.time()
                already = served.answers.total()
                ended = await admin.end_sessions(by="ops", appid=A)
                await asyncio.sleep(max(ended.holds_from / 1000 - time.time(), 0))
                # Of each worker, by connections of its own.
                step = max(len(ended_ones) // SAMPLE, 1)
                told = Counter[int]()
                for mine in clients.values():
                    for session_id in ended_ones[::step]:
                        reply = await mine[5].ask("GET", "/verify", sessionid=session_id)
                        told[reply.status] += 1
                await eventually(
                    lambda: served.answers.total() - already >= CHECKS,
                    within=120,
                    what="enough checks",
                )
                doomed.stop = served.stop = True
        holds = ended.holds_from / 1000 - called
        figure(
            f"{SESSIONS} sessions; said to hold after {holds:.2f} s, the last let through after"
            f" {doomed.last_let_through - called:.2f} s; {told.total()} asked from then on:"
            f" {dict(told)}; the other app: {dict(served.answers)}"
        )
        assert set(told) == {401}
        assert told.total() >= 2 * min(SAMPLE, len(ended_ones))
        assert holds <= 2.5
        assert doomed.last_let_through <= ended.holds_from / 1000
        assert set(served.answers) == {200}
