"""Two workers, and pictures and forms that are made to do harm, many at once."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from tests.support.attack import HARMFUL, Answered, attack, upload
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

BOMBS: Final = HARMFUL * 8
ROUNDS: Final = 3
MOST_MEMORY: Final = 150
"""Megabytes of all processes together, beside what they have when idle."""
LONGEST_WAIT: Final = 2.0
"""Seconds until an honest upload is taken or refused."""
SLACK: Final = 1.5
"""Seconds, for machines that are busy with something else."""
BUSY: Final = 0.1
"""The same for checks. With nothing else on two cores they do not need it."""
LET_THROUGH: Final = {"most pixels", "most scans"}


@asynccontextmanager
async def two_workers(
    home: Path, simulator: Simulator, database: Path
) -> AsyncIterator[ServiceProcess]:
    shutil.copy(database, home / "users.db")
    async with RedisServer() as redis:
        settings = complete_environment(
            redis=redis.url,
            wechat=simulator.url,
            WEB_CONCURRENCY="2",
            LIMIT_UPLOADS_PER_USER="off",
        )
        async with ServiceProcess(settings, home=home) as service:
            await service.ready()
            await eventually(lambda: len(service.workers) == 2, within=10, what="both serve")
            yield service


async def log_in(service: ServiceProcess, simulator: Simulator, users: int) -> list[str]:
    """Session ids, of so many users."""
    sessions = []
    async with await Connection.open(service.port) as connection:
        for number in range(users):
            body = orjson.dumps({"code": await simulator.code(f"user{number}")})
            reply = await connection.ask("POST", "/login", body=body)
            assert reply.status == 200, reply.body
            sessions.append(str(orjson.loads(reply.body)["data"]["sessionid"]))
    return sessions


async def latencies(service: ServiceProcess, sessionid: str, over: asyncio.Event) -> list[float]:
    """Seconds of each answer of /verify, in order of length."""
    found = []

    async def ask() -> None:
        async with await Connection.open(service.port) as connection:
            while not over.is_set():
                began = time.perf_counter()
                reply = await connection.ask("GET", "/verify", sessionid=sessionid)
                found.append(time.perf_counter() - began)
                assert reply.status == 200
                await asyncio.sleep(0.004)

    await asyncio.gather(*(ask() for _ in range(4)))
    return sorted(found)


async def keep_uploading(
    service: ServiceProcess, sessionid: str, over: asyncio.Event
) -> list[Answered]:
    """What somebody gets who changes an honest picture now and then."""
    answers = []
    while not over.is_set():
        watch = Stopwatch()
        answer = await asyncio.to_thread(upload, service.port, sessionid, "honest")
        answers.append(answer._replace(seconds=watch.seconds))
        await asyncio.sleep(0.3)
    return answers


async def throw_bombs(service: ServiceProcess, attackers: list[str]) -> None:
    """All of them at once, by a user each, and again; sees that they are answered as they ought."""
    jobs = list(zip(attackers, BOMBS, strict=True))
    answers = await asyncio.to_thread(attack, service.port, jobs, ROUNDS)
    tell(f"answers: {dict(Counter((one.kind, one.status) for one in answers))}")
    for answer in answers:
        taken = 200 if answer.kind in LET_THROUGH else 400
        assert answer.status == taken or is_busy(answer), answer


def is_busy(answer: Answered) -> bool:
    return (answer.status, answer.code, answer.retry_after) == (503, 50312, "2")


def p99(times: list[float]) -> float:
    return times[len(times) * 99 // 100]


class Memory:
    """Of the service and all its processes, in megabytes."""

    def __init__(self, service: ServiceProcess) -> None:
        self._main = service.pid
        self.peak = 0.0

    @property
    def now(self) -> float:
        total, left = 0.0, [self._main]
        while left:
            pid = left.pop()
            with suppress(OSError):  # one that has just ended
                left += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                # Its own pages, and its share of those that it has in common with others.
                total += int(rollup.split("Pss:")[1].split()[0]) / 1024
        return total

    @contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.03):
                self.peak = max(self.peak, self.now)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


async def test_checks_hardly_wait_for_bombs(
    tmp_path: Path, simulator: Simulator, empty_database: Path
) -> None:
    """Nothing else is measured here: that would take more of the cores than the bombs do."""
    async with two_workers(tmp_path, simulator, empty_database) as service:
        *attackers, alice = await log_in(service, simulator, len(BOMBS) + 1)
        assert await is_served(service, alice)
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(2, over.set)
        idle = await latencies(service, alice, over)

        over = asyncio.Event()
        measuring = asyncio.create_task(latencies(service, alice, over))
        await throw_bombs(service, attackers)
        over.set()
        attacked = await measuring

        tell(
            f"/verify p99 idle {p99(idle) * 1000:.1f} ms, attacked {p99(attacked) * 1000:.1f} ms, "
            f"longest of {len(attacked)} {attacked[-1] * 1000:.1f} ms",
        )
        assert p99(attacked) < 2 * p99(idle) + 0.005 + BUSY


async def test_bombs_keep_nobody_out(
    tmp_path: Path, simulator: Simulator, empty_database: Path
) -> None:
    async with two_workers(tmp_path, simulator, empty_database) as service:
        *attackers, alice, bob = await log_in(service, simulator, len(BOMBS) + 2)
        for one in (alice, bob):
            assert await is_served(service, one)
        memory = Memory(service)
        at_first = memory.now
        over = asyncio.Event()
        with memory.watched():
            uploading = [
                asyncio.create_task(keep_uploading(service, one, over)) for one in (alice, bob)
            ]
            await throw_bombs(service, attackers)
            over.set()
            others = [answer for one in uploading for answer in await one]

        tell(
            f"others: {[(one.status, round(one.seconds, 2)) for one in others]}",
            f"memory: {at_first:.0f} MB, and {memory.peak - at_first:.0f} MB at most",
        )
        for answer in others:
            assert answer.status == 200 or is_busy(answer), answer
        assert max(one.seconds for one in others) < LONGEST_WAIT + SLACK
        assert memory.peak - at_first < MOST_MEMORY
        assert await is_served(service, bob)


async def test_nobody_waits_for_bombs_to_stop(
    tmp_path: Path, simulator: Simulator, empty_database: Path
) -> None:
    async with two_workers(tmp_path, simulator, empty_database) as service:
        attackers = await log_in(service, simulator, len(BOMBS))
        jobs = list(zip(attackers, BOMBS, strict=True))
        attacking = asyncio.create_task(asyncio.to_thread(attack, service.port, jobs, 1))
        await eventually(lambda: is_decoding(service), within=20, what="a picture is decoded")
        watch = Stopwatch()
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10) == 0
        await eventually(lambda: not service.remains, within=1, what="all have ended")
        tell(f"ended {watch.seconds:.2f} s after SIGTERM")
        for answer in await attacking:
            assert answer.status in {0, 200, 400, 503}, answer


@pytest.mark.parametrize("kind", ["scans", "one letter"])
async def test_a_bomb_ends_with_its_answer(
    tmp_path: Path, simulator: Simulator, empty_database: Path, kind: str
) -> None:
    """The first took a core for twenty minutes, and nothing could end that but SIGKILL."""
    async with two_workers(tmp_path, simulator, empty_database) as service:
        (sessionid,) = await log_in(service, simulator, 1)
        answer = await asyncio.to_thread(upload, service.port, sessionid, kind)
        assert answer.status == 400
        assert answer.seconds < LONGEST_WAIT + SLACK
        await eventually(lambda: not is_decoding(service), within=1, what="no child is left")
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10) == 0


async def is_served(service: ServiceProcess, sessionid: str) -> bool:
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(upload, service.port, sessionid, "honest")).status != 200:
            await asyncio.sleep(0.1)
    return True


def is_decoding(service: ServiceProcess) -> bool:
    service.look()
    return any("service.pictures" in one.command for one in service.remains)


def tell(*lines: str) -> None:
    """Figures to keep."""
    print(*lines, sep="\n")  # noqa: T201
