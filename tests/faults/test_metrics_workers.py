"""/metrics of several workers: one answer for all, and what a killed one had counted is in it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.metrics import folder as folders
from service.wiring import migrate
from tests.support.effort import effort
from tests.support.metrics import Scrape
from tests.support.process import LINUX_ONLY, REPOSITORY, Connection, RedisServer, eventually
from tests.support.prometheus import NEEDS_PROMTOOL, promtool, series_named
from tests.support.settings import make_settings
from tests.support.stopwatch import Stopwatch
from tests.support.workers import clients_of_both_workers, two_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.process import ServiceProcess
    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.timeout(240)]

CHECKS = effort(300, 2000)
FLUSHED = 3.0
"""Seconds after which what was counted is handed over, also on a busy machine."""


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@asynccontextmanager
async def serving(
    redis: RedisServer, simulator: Simulator, home: Path
) -> AsyncIterator[tuple[ServiceProcess, str]]:
    """Two workers, and the id of a session."""
    await migrate(make_settings(database_url=f"sqlite:///{home / 'users.db'}"))
    async with two_workers(redis, simulator, home, LOG_LEVEL="ERROR") as service:
        async with await Connection.open(service.port) as connection:
            body = json.dumps({"code": await simulator.code()}).encode()
            answer = await connection.ask("POST", "/login", body=body)
            assert answer.status == 200, answer.body
        yield service, json.loads(answer.body)["data"]["sessionid"]


async def scrape(service: ServiceProcess) -> Scrape:
    async with await Connection.open(service.port) as connection:
        answer = await connection.ask("GET", "/metrics")
    assert answer.status == 200, answer.body
    return Scrape(answer.body.decode())


async def wait_for(
    service: ServiceProcess, name: str, wanted: float, *, or_more: bool = False, **labels: str
) -> None:
    """Until a scrape has this number: others tell theirs a second later."""
    watch = Stopwatch()
    while (found := (await scrape(service)).total(name, **labels)) != wanted:
        if or_more and found > wanted:
            return
        assert not watch.exceeds(30), f"{name} {labels} is {found}, not {wanted}"
        await asyncio.sleep(0.05)


async def check(connection: Connection, sessionid: str, count: int) -> None:
    for _ in range(count):
        assert (await connection.ask("GET", "/verify", sessionid=sessionid)).status == 200


async def other_workers(service: ServiceProcess, before: set[int]) -> None:
    """Until two serve, none of which is one of these."""

    def are_there() -> bool:
        return len(service.workers) == 2 and not service.workers & before

    await eventually(are_there, within=60, what="two other workers")


async def test_one_answer_for_all_workers(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with (
        serving(redis, simulator, tmp_path) as (service, session),
        clients_of_both_workers(service, 1) as clients,
    ):
        for [connection] in clients.values():
            await check(connection, session, CHECKS)
        await wait_for(service, "session_checks_total", 2 * CHECKS, outcome="ok")
        found = await scrape(service)
        assert found.total("requests_total", route="/verify") == 2 * CHECKS
        assert found.total("request_duration_seconds_count", route="/verify") == 2 * CHECKS
        assert found.total("logins_total", outcome="ok") == 1
        await wait_for(service, "pool_size", 2 * 128, pool="wechat")
        assert found.total("build_info") == 1
        await wait_for(service, "workers", 2)
        await wait_for(service, "workers_wanted", 2)


async def test_what_whoever_answers_has_counted_is_there_at_once(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with (
        serving(redis, simulator, tmp_path) as (service, session),
        clients_of_both_workers(service, 1) as clients,
    ):
        [connection] = next(iter(clients.values()))
        for number in range(1, 30):
            await check(connection, session, 1)
            text = (await connection.ask("GET", "/metrics")).body.decode()
            assert Scrape(text).total("session_checks_total", outcome="ok") == number


async def test_a_killed_worker_takes_none_of_its_counts_along(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    """But those of its last second. Whoever follows goes on in them, in as many files."""
    async with serving(redis, simulator, tmp_path) as (service, session):
        done = 0
        files = set()
        for death in range(1, 3):
            async with clients_of_both_workers(service, 1) as clients:
                for [connection] in clients.values():
                    await check(connection, session, CHECKS)
                    done += CHECKS
            await asyncio.sleep(FLUSHED)
            victim = min(service.workers)
            service.signal(signal.SIGKILL, victim)
            await other_workers(service, {victim})
            await wait_for(service, "worker_restarts_total", death, reason="died")
            found = await scrape(service)
            assert found.total("session_checks_total", outcome="ok") == done
            assert found.total("request_duration_seconds_count", route="/verify") == done
            assert found.total("logins_total", outcome="ok") == 1
            # Of the present of those that live, and of none that is dead.
            await wait_for(service, "pool_size", 2 * 128, pool="wechat")
            files.add(len(list(folder_of(service).iterdir())))
        assert len(files) == 1, files


def folder_of(service: ServiceProcess) -> Path:
    """That in which its workers count."""
    descriptors = list(Path(f"/proc/{service.pid}/fd").iterdir())
    [lock] = [path for one in descriptors if (path := one.readlink()).name == folders._LOCK]
    return lock.parent


async def ask_to_the_end(connection: Connection, sessionid: str) -> int:
    """Check as long as the worker takes requests; returns how often it answered."""
    answered = 0
    while True:
        reply = await connection.ask("GET", "/verify", sessionid=sessionid)
        assert reply.status == 200
        answered += 1
        if reply.headers["connection"] == "close":
            return answered


async def test_a_rolling_restart_loses_no_count_and_leaves_no_file(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with serving(redis, simulator, tmp_path) as (service, session):
        folder = folder_of(service)
        done = 0
        files = []
        for turn in range(1, 3):
            async with clients_of_both_workers(service, 1) as clients:
                before = service.workers
                service.signal(signal.SIGHUP)
                # Up to its very end: what it counts last is handed over by nothing but that.
                mine = [connection for [connection] in clients.values()]
                done += sum(await asyncio.gather(*(ask_to_the_end(one, session) for one in mine)))
            await other_workers(service, before)
            await wait_for(service, "worker_restarts_total", 2 * turn, reason="asked")
            # The old ones have handed over what they had, up to the last check.
            await wait_for(service, "session_checks_total", done, outcome="ok")
            await wait_for(service, "pool_size", 2 * 128, pool="wechat")
            files.append(len(list(folder.iterdir())))
        # Two generations of each place, never three; those that live have gauges.
        assert max(files) <= 3 + 2 * 2 * len(folders._SIZES)
        assert files[-1] == files[-2], files
        service.signal(signal.SIGTERM)
        assert await service.ended(within=20) == 0
        assert not folder.exists()


async def test_scrapes_under_load_hold_what_clients_have_counted(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with (
        serving(redis, simulator, tmp_path) as (service, session),
        clients_of_both_workers(service, 4) as clients,
    ):
        asked = 0
        answered = 0
        running = True

        async def ask(connection: Connection) -> None:
            nonlocal asked, answered
            while running:
                asked += 1
                await check(connection, session, 1)
                answered += 1

        jobs = [asyncio.create_task(ask(one)) for mine in clients.values() for one in mine]
        last = 0.0
        for _ in range(15):
            found = await scrape(service)
            now = found.total("session_checks_total", outcome="ok")
            assert last <= now <= asked, "no count ever goes back, or ahead"
            buckets = [
                sample.value
                for family in found.families
                for sample in family.samples
                if sample.name == "minigate_request_duration_seconds_bucket"
                and sample.labels["route"] == "/verify"
            ]
            assert buckets == sorted(buckets)
            last = now
            await asyncio.sleep(0.1)
        running = False
        await asyncio.gather(*jobs)
        assert answered == asked > 0
        await wait_for(service, "session_checks_total", answered, outcome="ok")
        await wait_for(service, "requests_total", answered, route="/verify", outcome="2xx")


async def drive(
    service: ServiceProcess, simulator: Simulator, redis: RedisServer, home: Path
) -> None:
    """Have it do all that it can, and fail at everything that it leans on."""
    async with await Connection.open(service.port) as connection:

        async def ask(method: str, path: str, session: str = "", **fields: str) -> Any:
            body = json.dumps(fields).encode() if fields else b""
            answer = await connection.ask(method, path, sessionid=session, body=body)
            return json.loads(answer.body or b"{}")

        login = await ask("POST", "/login", code=await simulator.code())
        session = login["data"]["sessionid"]
        await ask("GET", "/verify", session)
        phone = await simulator.phone()
        await ask("PUT", "/me/phone", session, code=phone["code"])
        await ask("PATCH", "/me", session, nickname="somebody else")
        await ask("POST", "/login", code="made-up")
        await simulator.fault("errcode", errcode=40125, times=1)
        await ask("POST", "/login", code=await simulator.code())
        with sqlite3.connect(home / "users.db") as users:
            users.execute("ALTER TABLE users RENAME TO elsewhere")
        assert (await ask("POST", "/login", code=await simulator.code("bob")))["code"] == 50301
        redis.kill()
        assert (await ask("GET", "/session", session))["code"] == 50300


async def test_every_series_of_an_alert_or_a_panel_is_there(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with serving(redis, simulator, tmp_path) as (service, _):
        await drive(service, simulator, redis, tmp_path)
        await wait_for(service, "redis_failures_total", 1, or_more=True, operation="read")
        await wait_for(service, "workers", 2)
        found = await scrape(service)
    assert series_named() - found.names == set()


@NEEDS_PROMTOOL
async def test_prometheus_finds_nothing_wrong_with_what_it_is_told(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    async with serving(redis, simulator, tmp_path) as (service, _):
        await drive(service, simulator, redis, tmp_path)
        await wait_for(service, "redis_failures_total", 1, operation="read")
        found = await scrape(service)
    promtool("check", "metrics", given=found.text)


async def test_without_a_folder_one_worker_does_not_speak_for_two(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    await migrate(make_settings(database_url=f"sqlite:///{tmp_path / 'users.db'}"))
    (tmp_path / "sitecustomize.py").write_text(
        """
import sys
if "service" in sys.orig_argv:
    import service.metrics.folder

    def refuse():
        raise OSError(28, "No space left on device")

    service.metrics.folder._make = refuse
"""
    )
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    async with two_workers(redis, simulator, tmp_path, PYTHONPATH=path) as service:
        assert "no folder" in service.output
        async with await Connection.open(service.port) as connection:
            answer = await connection.ask("GET", "/metrics")
            assert (answer.status, json.loads(answer.body)["code"]) == (503, 50302)
            body = json.dumps({"code": await simulator.code()}).encode()
            assert (await connection.ask("POST", "/login", body=body)).status == 200
