"""One session per user, whoever asks whichever worker, in whatever order."""

from __future__ import annotations

import asyncio
import math
import os
import random
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from tests.support.effort import effort
from tests.support.linearizability import Operation, linearizable
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.timeout(120)]

HISTORIES: Final = int(os.environ.get("HISTORIES") or effort(60, 300))
_OPERATIONS_PER_CLIENT: Final = 7
_CLIENTS: Final = 6
_AT_ONCE: Final = 4
_WEIGHTS: Final = {"login": 35, "validate": 50, "logout": 15}


@dataclass
class History:
    """What six clients of one user do, and were told."""

    user: str
    rng: random.Random
    codes: list[str]
    operations: list[Operation] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    async def run(self, clients: Sequence[Connection]) -> None:
        await asyncio.gather(*(self._act(client) for client in clients))

    async def _act(self, client: Connection) -> None:
        for _ in range(_OPERATIONS_PER_CLIENT):
            [kind] = self.rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            if kind == "login" or not self.sessions:
                await self._log_in(client)
            else:
                # Mostly the newest ones: there the races are.
                sid = self.rng.choice(self.sessions[-4:])
                await (self._validate if kind == "validate" else self._log_out)(client, sid)

    async def _log_in(self, client: Connection) -> None:
        code = self.codes.pop()
        start = time.monotonic()
        reply = await client.ask("POST", "/login", body=orjson.dumps({"code": code}))
        end = time.monotonic()
        self.statuses[reply.status] += 1
        if reply.status == 200:
            sid = orjson.loads(reply.body)["data"]["sessionid"]
            self.sessions.append(sid)
            self.operations.append(Operation(start, end, "login", sid))
        else:
            assert reply.status == 503, reply
            self.operations.append(Operation(start, math.inf, "login", f"unknown-{code}"))

    async def _validate(self, client: Connection, sid: str) -> None:
        start = time.monotonic()
        reply = await client.ask("GET", "/verify", sessionid=sid)
        end = time.monotonic()
        self.statuses[reply.status] += 1
        if reply.status == 503:
            return  # it told nothing and changed nothing
        assert reply.status in {200, 401}, reply
        self.operations.append(Operation(start, end, "validate", sid, reply.status == 200))

    async def _log_out(self, client: Connection, sid: str) -> None:
        start = time.monotonic()
        reply = await client.ask("POST", "/logout", sessionid=sid)
        end = time.monotonic()
        self.statuses[reply.status] += 1
        if reply.status == 503:
            self.operations.append(Operation(start, math.inf, "logout", sid))
            return
        assert reply.status == 200, reply
        ended = orjson.loads(reply.body)["data"]["ended"]
        self.operations.append(Operation(start, end, "logout", sid, ended))


@dataclass
class Verdict:
    """How many histories nobody can explain, and what was answered in all of them."""

    unexplained: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


async def run_histories(
    service: ServiceProcess, simulator: Simulator, *, count: int = HISTORIES, racing: bool = True
) -> Verdict:
    seed = os.environ.get("SEED") or str(random.SystemRandom().getrandbits(32))
    queue = iter(range(count))
    verdict = Verdict()

    async def take_turns(clients: Sequence[Connection]) -> None:
        for number in queue:
            user = f"{seed}-{number}"
            codes = [await simulator.code(user) for _ in range(_CLIENTS * _OPERATIONS_PER_CLIENT)]
            history = History(user, random.Random(user), codes)  # repeatable
            await history.run(clients if racing else clients[:1])
            verdict.statuses.update(history.statuses)
            verdict.unexplained += not linearizable(history.operations)

    async with clients_of_both_workers(service) as groups:
        await asyncio.gather(*(take_turns(clients) for clients in groups))
    print(f"SEED={seed}: {verdict}")  # noqa: T201 # to repeat a failure
    assert verdict.statuses[503] <= verdict.statuses.total() / 100
    return verdict


@asynccontextmanager
async def clients_of_both_workers(
    service: ServiceProcess,
) -> AsyncIterator[list[list[Connection]]]:
    """Groups of six connections, three of each to either worker."""
    by_worker: dict[int, list[Connection]] = {pid: [] for pid in service.workers}
    assert len(by_worker) == 2, service.output
    wanted = _AT_ONCE * _CLIENTS // 2
    opened: list[Connection] = []
    try:
        while min(map(len, by_worker.values())) < wanted:
            assert len(opened) < 50 * wanted, "one worker takes all connections"
            connection = await Connection.open(service.port)
            opened.append(connection)
            await connection.ask("GET", "/livez")
            worker = service.worker_of(connection)
            assert worker is not None
            by_worker[worker].append(connection)
        half = _CLIENTS // 2
        yield [
            [one for mine in by_worker.values() for one in mine[start : start + half]]
            for start in range(0, wanted, half)
        ]
    finally:
        for connection in opened:
            connection.abort()


@asynccontextmanager
async def two_workers(
    simulator: Simulator, home: Path, module: str
) -> AsyncIterator[ServiceProcess]:
    async with RedisServer() as redis:
        environment = complete_environment(
            redis=redis.url,
            wechat=simulator.url,
            WEB_CONCURRENCY="2",
            LOGIN_COALESCE_MS="0",
            LOG_LEVEL="WARNING",
        )
        command = (sys.executable, "-m", module)
        async with ServiceProcess(environment, home=home, command=command) as service:
            await service.ready()
            await eventually(lambda: len(service.workers) == 2, within=5, what="two workers")
            yield service


async def test_every_history_has_one_session_at_a_time(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with two_workers(simulator, tmp_path, "service") as service:
        verdict = await run_histories(service, simulator)
    assert verdict.unexplained == 0


async def test_a_store_that_works_in_separate_steps_is_caught(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with two_workers(simulator, tmp_path, "tests.faults.naive_service") as service:
        # With nobody to race against it is right: what is caught below is the race.
        alone = await run_histories(service, simulator, count=20, racing=False)
        verdict = await run_histories(service, simulator)
    assert alone.unexplained == 0
    assert verdict.unexplained >= HISTORIES / 3
