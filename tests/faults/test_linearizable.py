"""One session per user, whoever asks whichever worker, in whatever order."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
import pytest
import redis.asyncio

from tests.support.effort import effort
from tests.support.linearizability import Operation, linearizable
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.workers import clients_of_both_workers, in_workers, two_workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.figure import Figure
    from tests.support.process import Connection, ServiceProcess
    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.timeout(180)]

HISTORIES: Final = int(os.environ.get("HISTORIES") or effort(60, 300))
DISTURBED: Final = effort(16, 100)
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
    service: ServiceProcess,
    simulator: Simulator,
    *,
    count: int = HISTORIES,
    racing: bool = True,
    refused: float = 0.01,
) -> Verdict:
    """`refused`: the share of answers that may be a 503."""
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

    async with clients_of_both_workers(service, _AT_ONCE * _CLIENTS // 2) as by_worker:
        half = _CLIENTS // 2
        groups = [
            [one for mine in by_worker.values() for one in mine[start : start + half]]
            for start in range(0, _AT_ONCE * half, half)
        ]
        await asyncio.gather(*(take_turns(clients) for clients in groups))
    print(f"SEED={seed}: {verdict}")  # noqa: T201 # to repeat a failure
    assert verdict.statuses[503] <= verdict.statuses.total() * refused
    return verdict


@pytest.mark.bar("A1")
async def test_every_history_has_one_session_at_a_time(
    simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    async with RedisServer() as redis, two_workers(redis, simulator, tmp_path) as service:
        verdict = await run_histories(service, simulator)
    figure(f"{verdict.unexplained} of {HISTORIES} histories of 42 operations unexplained")
    assert verdict.unexplained == 0


SHORT_ONLY: Final = """
from service.http import short_way  # which has its form of the answer from now on
from service.http.routes import verify
def fail(*_):
    raise AssertionError("a live session was told of the ordinary way")
verify.caller_headers = fail
"""


async def test_so_it_is_by_the_short_way_of_verify(simulator: Simulator, tmp_path: Path) -> None:
    path = in_workers(tmp_path, SHORT_ONLY)
    async with (
        RedisServer() as redis,
        two_workers(redis, simulator, tmp_path, PYTHONPATH=path) as service,
    ):
        verdict = await run_histories(service, simulator)
    assert verdict.unexplained == 0
    assert verdict.statuses[200] > HISTORIES, "no more than the logins of it"


NAIVE: Final = """
from service import wiring
from tests.faults.naive_sessions import NaiveSessions
wiring.RedisSessions = NaiveSessions
"""


@pytest.mark.bar("A1")
async def test_a_store_that_works_in_separate_steps_is_caught(
    simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    path = in_workers(tmp_path, NAIVE)
    async with (
        RedisServer() as redis,
        two_workers(redis, simulator, tmp_path, PYTHONPATH=path) as service,
    ):
        # With nobody to race against it is right: what is caught below is the race.
        alone = await run_histories(service, simulator, count=20, racing=False)
        verdict = await run_histories(service, simulator)
    figure(f"with get, delete and set one by one: {verdict.unexplained} of {HISTORIES}")
    assert alone.unexplained == 0
    assert verdict.unexplained >= HISTORIES / 3


async def disturb(server: RedisServer) -> None:
    """Pause the server and freeze it, again and again."""
    rng = random.SystemRandom()
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        while True:
            await asyncio.sleep(rng.uniform(0.1, 0.4))
            if rng.random() < 0.5:
                await client.execute_command("CLIENT", "PAUSE", 300, "ALL")
                continue
            server.freeze()
            try:
                # Mostly longer than a caller waits, 0.8 s: some changes are called failed.
                await asyncio.sleep(rng.uniform(0.7, 1.4))
            finally:
                server.thaw()
    finally:
        await client.aclose()


@pytest.mark.bar("B3")
async def test_so_it_is_while_redis_pauses_and_freezes(
    simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    async with RedisServer() as server, two_workers(server, simulator, tmp_path) as service:
        disturbing = asyncio.create_task(disturb(server))
        verdict = await run_histories(service, simulator, count=DISTURBED, refused=0.6)
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
    refused = verdict.statuses[503]
    figure(f"{verdict.unexplained} of {DISTURBED} histories unexplained, {refused} answers 503")
    assert verdict.unexplained == 0
    assert refused > 0, "nobody noticed a thing"
