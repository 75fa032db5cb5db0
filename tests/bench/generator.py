"""The load: kept-alive connections that each ask, wait for the answer, and ask again.

A process of its own, so that it can have a core of its own. It takes jobs as
lines of JSON on stdin and answers each with a line on stdout. Requests are made
beforehand and answers barely parsed: an answer costs it a quarter of what it
costs the fastest server here, and every result says how busy it was.
"""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
import time
from array import array
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, cast

import orjson
import uvloop

from tests.bench.cores import start_on
from tests.bench.spread import percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask, and how hard."""

    port: int
    requests: list[str] = field(repr=False)
    """Whole HTTP requests; non-ASCII has no place in them."""
    expects: list[str] = field(repr=False)
    """What each answer must contain, the caller's own id say; as many as requests, or none."""
    connections: int
    seconds: float
    warm_up: float = 0.0
    """Seconds before it counts."""
    once: bool = False
    """Send each request once and stop when there are none left."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    answered: int
    seconds: float
    p50: float
    """Milliseconds, as are the others."""
    p90: float
    p99: float
    slowest: float
    cpu: float
    """Share of its core that the generator used."""
    bytes_each: float
    statuses: dict[str, int]
    strangers: int
    """Answers without what they had to contain."""
    broken: int
    """Connections that ended, or never began."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    @property
    def clean(self) -> bool:
        """Whether every answer was a 200 and the caller's own."""
        return set(self.statuses) == {"200"} and not self.strangers and not self.broken


class _Run:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.requests = [text.encode("ascii") for text in job.requests]
        self.expects = [text.encode("ascii") for text in job.expects] or [b""] * len(self.requests)
        self.once = job.once
        self.latencies = array("d")
        self.statuses: Counter[bytes] = Counter()
        self.size = self.strangers = self.broken = self.taken = 0
        self.open = job.connections
        self.over = False
        self.counts = not job.warm_up
        self.finished = asyncio.Event()

    def take(self) -> int | None:
        """The number of the next request; None when there is nothing more to ask."""
        number = self.taken
        if self.over or (self.once and number >= len(self.requests)):
            return None
        self.taken += 1
        return number % len(self.requests)

    def leave(self) -> None:
        """A connection is done."""
        self.open -= 1
        if not self.open:
            self.finished.set()


class _Caller(asyncio.Protocol):
    """One connection."""

    __slots__ = ("asked", "number", "rest", "run", "transport")

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.rest = b""
        self.number: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        if self.number is not None:
            self.run.broken += 1
        self.run.leave()

    def ask(self) -> None:
        self.number = self.run.take()
        if self.number is None:
            self.transport.close()
            return
        self.asked = time.perf_counter()
        self.transport.write(self.run.requests[self.number])

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        end = data.find(_HEAD_END)
        length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            self.rest = data  # an answer without a length never completes, and breaks the run
            return
        self.rest = b""
        run, number = self.run, self.number
        if run.counts and number is not None:
            run.latencies.append(time.perf_counter() - self.asked)
            run.statuses[data[9:12]] += 1
            run.size += len(data)
            run.strangers += run.expects[number] not in data
        self.ask()


async def _measure(job: Job) -> Outcome:
    run = _Run(job)
    loop = asyncio.get_running_loop()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Caller(run), "127.0.0.1", job.port)
    await asyncio.sleep(job.warm_up)
    run.counts = True
    began, cpu_before = time.perf_counter(), time.process_time()
    with suppress(TimeoutError):
        await asyncio.wait_for(run.finished.wait(), job.seconds)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_before
    run.counts, run.over = False, True
    try:
        await asyncio.wait_for(run.finished.wait(), _PATIENCE_SECONDS)
    except TimeoutError:
        run.broken += run.open
    return _outcome(run, seconds, cpu)


def _outcome(run: _Run, seconds: float, cpu: float) -> Outcome:
    ordered = sorted(run.latencies)
    p50, p90, p99, slowest = (
        percentile(ordered, at) * 1000 if ordered else 0.0 for at in (0.5, 0.9, 0.99, 1.0)
    )
    return Outcome(
        answered=len(ordered),
        seconds=seconds,
        p50=p50,
        p90=p90,
        p99=p99,
        slowest=slowest,
        cpu=cpu / seconds,
        bytes_each=run.size / max(len(ordered), 1),
        statuses={status.decode(): count for status, count in run.statuses.items()},
        strangers=run.strangers,
        broken=run.broken,
    )


class Generator:
    """The process, seen from the one that runs the benchmark."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def measure(self, job: Job) -> Outcome:
        """Do the job; blocks until it is done."""
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None, "started with pipes"
        assert pipes[1] is not None, "started with pipes"
        pipes[0].write(orjson.dumps(asdict(job)) + b"\n")
        pipes[0].flush()
        answer = pipes[1].readline()
        assert answer, "the load generator has died"
        return Outcome(**orjson.loads(answer))


@contextmanager
def generator(core: int | None) -> Iterator[Generator]:
    """A generator on this core, or on any, for as long as the context lasts."""
    command = [sys.executable, "-m", "tests.bench.generator"]
    process = start_on(core, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Generator(process)
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Serve jobs until stdin ends."""
    gc.disable()  # it makes no cycles to speak of, and a collection would be a slow answer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin.buffer:
            outcome = runner.run(_measure(Job(**orjson.loads(line))))
            sys.stdout.buffer.write(orjson.dumps(asdict(outcome)) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
