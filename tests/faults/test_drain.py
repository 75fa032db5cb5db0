"""What clients see of a service that is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.faults.test_processes import all_answer, ask, log_in
from tests.support.attack import upload
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.stopwatch import Stopwatch
from tests.support.workers import in_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.figure import Figure
    from tests.support.running import Simulator

pytestmark = LINUX_ONLY


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@pytest.fixture
async def crowd() -> AsyncIterator[AsyncExitStack]:
    """Connections that are closed in the end."""
    async with AsyncExitStack() as stack:
        yield stack


async def open_raw(
    crowd: AsyncExitStack, port: int, sent: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    def abort() -> None:  # and keep the writer until then: it closes when it is forgotten
        writer.transport.abort()

    crowd.callback(abort)
    writer.write(sent)
    return reader, writer


async def status_of(reader: asyncio.StreamReader) -> int | None:
    """Of what comes until the end; None if that is nothing."""
    try:
        answer = await reader.read()
    except ConnectionError:
        return None
    return int(answer.split()[1]) if answer else None


async def logs_in(service: ServiceProcess, crowd: AsyncExitStack, code: str) -> int:
    connection = await crowd.enter_async_context(await Connection.open(service.port))
    reply = await connection.ask("POST", "/login", body=orjson.dumps({"code": code}))
    assert reply.headers["connection"] == "close"
    return reply.status


@pytest.mark.bar("F5")
async def test_a_crowd_at_everything_is_gone_in_ten_seconds(
    redis: RedisServer, simulator: Simulator, tmp_path: Path, crowd: AsyncExitStack, figure: Figure
) -> None:
    environment = complete_environment(redis=redis.url, wechat=simulator.url, WEB_CONCURRENCY="2")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=10)
        painters = [await log_in(service, await simulator.code(one)) for one in ("alice", "bob")]
        idle = [
            await crowd.enter_async_context(await Connection.open(service.port)) for _ in range(200)
        ]
        for one in idle:
            assert (await one.ask("GET", "/livez")).status == 200
        await simulator.fault("latency", median_ms=60_000, tail_ms=60_000)
        before = await simulator.exchanges()
        codes = [await simulator.code(f"user-{number}") for number in range(50)]
        logins = [asyncio.create_task(logs_in(service, crowd, code)) for code in codes]
        while await simulator.exchanges() < before + 50:
            await asyncio.sleep(0.01)
        pictures = [
            asyncio.create_task(asyncio.to_thread(upload, service.port, one, "honest"))
            for one in painters
        ]
        head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        heads = [(await open_raw(crowd, service.port, head))[0] for _ in range(50)]
        bodies = [(await open_raw(crowd, service.port, head + b"\r\n{"))[0] for _ in range(50)]

        watch = Stopwatch()
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10) == 0
        figure(f"gone after {watch.seconds:.1f} s")
        assert set(await asyncio.gather(*logins)) == {502}
        assert {one.status for one in await asyncio.gather(*pictures)} <= {200, 503}
        assert {await status_of(one) for one in (*heads, *bodies)} <= {408}
        for trouble in ("Traceback", "AttributeError", "answered 500", " ERROR ", "cut"):
            assert trouble not in service.output
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


async def test_who_waits_to_be_let_in_is_answered_and_who_comes_later_is_refused(
    redis: RedisServer, tmp_path: Path, crowd: AsyncExitStack
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", WEB_CONCURRENCY="2"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=10)
        workers = service.workers
        for pid in workers:
            service.signal(signal.SIGSTOP, pid)
        request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        waiting = [(await open_raw(crowd, service.port, request))[0] for _ in range(100)]
        service.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert Counter([await status_of(one) for one in waiting]) == {200: 100}
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(service.port)
        assert await service.ended(within=10) == 0


async def test_kept_connections_are_told_to_go_and_idle_ones_are_closed(
    redis: RedisServer, tmp_path: Path, crowd: AsyncExitStack, figure: Figure
) -> None:
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        long_idle, _ = await open_raw(crowd, service.port, request)
        picked_last, writes = await open_raw(crowd, service.port, request)
        await picked_last.readuntil(b"}")
        await asyncio.sleep(1.2)  # more than what an idle one is given
        busy = await crowd.enter_async_context(await Connection.open(service.port))
        assert (await busy.ask("GET", "/livez")).headers["connection"] == "keep-alive"
        pipelining, writer = await open_raw(crowd, service.port, request)
        await pipelining.readuntil(b"}")
        watch = Stopwatch()
        service.signal(signal.SIGTERM)
        # A proxy may choose one of long ago, and has not heard of anything.
        await asyncio.sleep(0.3)
        writes.write(request)
        assert b"connection: close" in (await picked_last.read()).lower()
        writer.write(3 * request)
        assert (await busy.ask("GET", "/livez")).headers["connection"] == "close"
        last = (await pipelining.read()).lower()
        assert last.count(b"http/1.1 200") == 3
        assert last.count(b"connection: keep-alive") == 2
        assert last.count(b"connection: close") == 1
        assert b"connection: keep-alive" in (await long_idle.read()).lower()
        closed_after = watch.seconds
        assert await service.ended(within=5) == 0
        figure(f"an idle one was closed after {closed_after:.2f} s")


async def test_a_balancer_that_polls_has_time_to_see_that_it_stops(
    redis: RedisServer, tmp_path: Path
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", WEB_CONCURRENCY="2", DRAIN_SECONDS="2"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=10)
        watch = Stopwatch()
        service.signal(signal.SIGTERM)
        seen = Counter[int]()
        for _ in range(20):
            async with asyncio.timeout(5), await Connection.open(service.port) as connection:
                reply = await connection.ask("GET", "/readyz")
                seen[reply.status] += 1
                if reply.status == 503:
                    assert reply.headers["connection"] == "close"
                    told = orjson.loads(reply.body)
                    assert (told["code"], told["data"]) == (50302, {"reason": "stopping"})
                    async with await Connection.open(service.port) as another:
                        served = await another.ask("GET", "/livez")
                        assert (served.status, served.headers["connection"]) == (200, "close")
        assert seen[503] > 10
        assert await service.ended(within=15) == 0
        assert watch.seconds > 2
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(service.port)


async def until_refused(port: int) -> None:
    watch = Stopwatch()
    while not watch.exceeds(5):
        try:
            (await Connection.open(port)).abort()
        except ConnectionRefusedError:
            return
        await asyncio.sleep(0.01)
    pytest.fail("who connects waits for nobody")


async def test_nobody_waits_for_a_worker_that_dies_meanwhile(
    redis: RedisServer, tmp_path: Path
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", DRAIN_SECONDS="8"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        [worker] = service.workers
        service.signal(signal.SIGTERM)
        while (await ask(service, "GET", "/readyz"))[0] != 503:
            await asyncio.sleep(0.02)
        service.signal(signal.SIGKILL, worker)
        await until_refused(service.port)


THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()"
TASK = """
import asyncio
from service.core import background
async def for_ever(self):
    await asyncio.sleep(600)
background.BackgroundTasks.aclose = for_ever
"""


@pytest.mark.bar("F5")
async def test_a_thread_that_is_never_done_holds_nothing_up(
    redis: RedisServer, tmp_path: Path
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=in_workers(tmp_path, THREAD)
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        service.signal(signal.SIGTERM)
        assert await service.ended(within=5) == 0
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


@pytest.mark.bar("F5")
async def test_a_task_that_is_never_done_is_cut_off(redis: RedisServer, tmp_path: Path) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=in_workers(tmp_path, TASK)
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10) == 1
        assert "cut off after 9 s" in service.output
        assert "ERROR" not in service.output


async def test_a_worker_that_does_not_heed_is_killed(redis: RedisServer, tmp_path: Path) -> None:
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        for pid in service.workers:
            service.signal(signal.SIGSTOP, pid)
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10.5) == 1
        assert "worker 1 did not end in time: killing it" in service.output
        await eventually(lambda: not service.remains, within=2, what="nothing is left")
