"""The connections of the load generator: each asks, waits for the answer, and asks again.

Either at once, so that the server is never idle, or when the next request is
due. Those that are due go out at their moment, whatever has become of the ones
before, for as long as there are connections; their latency counts from that moment.
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from tests.bench.arrivals import Arrivals
from tests.bench.job import Outcome
from tests.bench.spread import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.job import Job

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE_SECONDS: Final = 20.0


class _Run:
    """One job under way: who has an answer asks again at once."""

    def __init__(self, job: Job) -> None:
        self.requests = [text.encode("ascii") for text in job.requests]
        self.expects = [text.encode("ascii") for text in job.expects] or [b""] * len(self.requests)
        self.once = job.once
        self.latencies, self.late = array("d"), array("d")
        self.statuses: Counter[bytes] = Counter()
        self.came = self.answered = self.served = self.size = 0
        self.strangers = self.broken = self.taken = 0
        self.callers: list[_Caller] = []
        self.left = job.connections
        self.counts, self.counts_from = not job.warm_up, 0.0
        self.over = False
        self.finished = asyncio.Event()

    def begin(self) -> None:
        """Everybody is connected."""

    def count(self, _began: float) -> None:
        """The warm-up is over."""
        self.counts = True

    def take(self) -> tuple[int, float] | None:
        """The number of the next request and the moment to count from; None: nothing to ask now."""
        number = self.taken
        if self.over or (self.once and number >= len(self.requests)):
            return None
        self.taken += 1
        return number % len(self.requests), time.monotonic()

    def wait(self, caller: _Caller) -> None:
        """There was nothing to ask."""
        caller.transport.close()

    def end(self, _ended: float) -> None:
        """Ask nothing more, count nothing more."""
        self.counts, self.over = False, True

    def leave(self, _: _Caller) -> None:
        """A connection is done."""
        self.left -= 1
        if not self.left:
            self.finished.set()


class _PlannedRun(_Run):
    """Requests are due at planned moments, and wait for a connection where none is free."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.rate = job.rate
        self.due = 0
        self.idle: list[_Caller] = []

    def begin(self) -> None:
        self.arrivals = Arrivals(self.rate)
        asyncio.get_running_loop().add_reader(self.arrivals, self.arrive)

    def count(self, began: float) -> None:
        super().count(began)
        self.counts_from = began

    def arrive(self) -> None:
        """Some are due."""
        known = self.due
        self.due += self.arrivals.come()
        while self.idle and self.taken < self.due:
            self.idle.pop().ask()
        if self.counts:
            now = time.monotonic()
            self.late.extend(now - self.arrivals.planned(new) for new in range(known, self.due))

    def take(self) -> tuple[int, float] | None:
        number = self.taken
        if self.over or number >= self.due:
            return None
        self.taken += 1
        return number % len(self.requests), self.arrivals.planned(number)

    def wait(self, caller: _Caller) -> None:
        if self.over:
            caller.transport.close()
        else:
            self.idle.append(caller)

    def leave(self, caller: _Caller) -> None:
        if caller in self.idle:
            self.idle.remove(caller)
        super().leave(caller)

    def end(self, ended: float) -> None:
        """Who has no answer yet has waited so long at the least."""
        self.due += self.arrivals.come()
        under_way = (caller.asked for caller in self.callers if caller.number is not None)
        waiting = (self.arrivals.planned(number) for number in range(self.taken, self.due))
        for planned in (*under_way, *waiting):
            if self.counts_from <= planned <= ended:
                self.latencies.append(ended - planned)
        super().end(ended)
        asyncio.get_running_loop().remove_reader(self.arrivals)
        self.arrivals.close()
        for caller in list(self.idle):
            caller.transport.close()


class _Caller(asyncio.Protocol):
    """One connection."""

    __slots__ = ("asked", "number", "rest", "run", "transport")

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.rest = b""
        self.number: int | None = None
        self.asked = 0.0
        run.callers.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        if self.number is not None:
            self.run.broken += 1
        self.run.leave(self)

    def ask(self) -> None:
        taken = self.run.take()
        if taken is None:
            self.number = None
            self.run.wait(self)
            return
        self.number, self.asked = taken
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
        run.served += 1
        if run.counts and number is not None:
            if self.asked >= run.counts_from:
                run.latencies.append(time.monotonic() - self.asked)
                run.answered += 1
            run.came += 1
            run.statuses[data[9:12]] += 1
            run.size += len(data)
            run.strangers += run.expects[number] not in data
        self.ask()


async def measure(job: Job) -> Outcome:
    """Do a job."""
    run = _PlannedRun(job) if job.rate else _Run(job)
    loop = asyncio.get_running_loop()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Caller(run), "127.0.0.1", job.port)
    run.begin()
    await asyncio.sleep(job.warm_up)
    began, cpu_before = time.monotonic(), time.process_time()
    run.count(began)
    with suppress(TimeoutError):
        await asyncio.wait_for(run.finished.wait(), job.seconds)
    ended, cpu = time.monotonic(), time.process_time() - cpu_before
    run.end(ended)
    try:
        await asyncio.wait_for(run.finished.wait(), _PATIENCE_SECONDS)
    except TimeoutError:
        run.broken += run.left
    return _outcome(run, ended - began, cpu)


def _outcome(run: _Run, seconds: float, cpu: float) -> Outcome:
    p50, p90, p99, slowest = _milliseconds(run.latencies, (0.5, 0.9, 0.99, 1.0))
    (late,) = _milliseconds(run.late, (0.99,))
    return Outcome(
        came=run.came,
        answered=run.answered,
        offered=len(run.latencies),
        served=run.served,
        seconds=seconds,
        p50=p50,
        p90=p90,
        p99=p99,
        slowest=slowest,
        late=late,
        cpu=cpu / seconds,
        bytes_each=run.size / max(run.came, 1),
        statuses={status.decode(): count for status, count in run.statuses.items()},
        strangers=run.strangers,
        broken=run.broken,
    )


def _milliseconds(times: Iterable[float], shares: Iterable[float]) -> list[float]:
    ordered = sorted(times)
    return [percentile(ordered, share) * 1000 if ordered else 0.0 for share in shares]
