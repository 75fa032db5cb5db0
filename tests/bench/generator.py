"""The load, as a process of its own, so that it can have a core of its own.

It takes jobs as lines of JSON on stdin and answers each with a line on stdout.
Requests are made beforehand and answers barely parsed: an answer costs it less
than half of what it costs the fastest server here, and every result says how
busy it was.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from asyncio import Runner
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
import uvloop

from tests.bench.calling import measure
from tests.bench.cores import start_on
from tests.bench.job import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    with Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin.buffer:
            outcome = runner.run(measure(Job(**orjson.loads(line))))
            sys.stdout.buffer.write(orjson.dumps(asdict(outcome)) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
