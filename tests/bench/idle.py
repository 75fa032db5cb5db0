"""One client that asks again when it has its answer: what a check costs where nothing queues."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.bench.contestants import BARE, MINIGATE
from tests.bench.spread import Spread
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX

if TYPE_CHECKING:
    from tests.bench.people import Person
    from tests.bench.scene import Scene
    from tests.bench.stage import Running

_ROUND_TRIPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Idle:
    """Milliseconds, medians of each round's median."""

    bare: Spread
    minigate: Spread
    over: Spread
    """What MiniGate takes more than the bare route, round by round."""
    redis: Spread
    """One GET of a session over a plain socket, from the server's core."""


def measure(scene: Scene, *, rounds: int, seconds: float) -> Idle:
    """In turns: the bare route, MiniGate, Redis."""
    by_title = {one.title: one for one in scene.everybody.validate}
    task = replace(scene.crowd.validation, connections=1)
    found: dict[str, list[float]] = {BARE: [], MINIGATE: [], "redis": []}
    for _ in range(rounds):
        for title in (BARE, MINIGATE):
            job = task.job(by_title[title], seconds=seconds, warm_up=0.1)
            found[title].append(scene.generator.measure(job).p50)
        round_trip = _round_trip(scene.redis, task.crowd[0], core=scene.cores.server)
        found["redis"].append(round_trip)
    over = [one - other for one, other in zip(found[MINIGATE], found[BARE], strict=True)]
    return Idle(*(Spread.of(each) for each in (found[BARE], found[MINIGATE], over, found["redis"])))


def _round_trip(redis: Running, person: Person, *, core: int) -> float:
    key = (KEY_PREFIX + person.session_id.handle).encode()
    command = b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        with socket.create_connection(("127.0.0.1", redis.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return median(_timed(connection, command) for _ in range(_ROUND_TRIPS)) * 1000
    finally:
        os.sched_setaffinity(0, before)


def _timed(connection: socket.socket, command: bytes) -> float:
    began = time.perf_counter()
    connection.sendall(command)
    connection.recv(4096)
    return time.perf_counter() - began
