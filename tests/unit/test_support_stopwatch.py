"""What others did to this machine is not counted; what one waited for oneself is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.children import spawn
from tests.support.process import LINUX_ONLY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = LINUX_ONLY

BUSY = "import time\nwhile time.monotonic() < {until}: pass"
WORK = [sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.3: pass"]


def work() -> None:
    """A fifth of a second of a core."""
    over = time.thread_time() + 0.2
    while time.thread_time() < over:
        pass


def run_together(count: int, watch: Stopwatch) -> None:
    """So many processes, each with 0.3 s of a core; until the last one ends."""
    processes = [spawn(WORK) for _ in range(count)]
    while any(one.poll() is None for one in processes):
        watch.look()
        time.sleep(0.01)


@pytest.mark.parametrize("alone", [False, True])
def test_sleep_is_counted(*, alone: bool) -> None:
    watch = Stopwatch(alone=alone)
    time.sleep(0.1)
    assert watch.exceeds(0.05)
    assert not watch.exceeds(5)
    assert 0.05 < watch.seconds <= watch.elapsed


@pytest.fixture
def one_core() -> Iterator[None]:
    """For this thread and whatever it starts."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.fixture
def others() -> None:
    """Two who are busy for two seconds, and no children of this process."""
    busy = [sys.executable, "-S", "-c", BUSY.format(until=time.monotonic() + 2)]
    subprocess.run(["/bin/sh", "-c", '"$@" & "$@" &', "sh", *busy], check=True)  # noqa: S603 # of ours
    time.sleep(0.1)


@pytest.mark.usefixtures("one_core", "others")
@pytest.mark.parametrize("alone", [False, True])
def test_time_that_others_took_is_not(*, alone: bool) -> None:
    watch = Stopwatch(alone=alone)
    work()
    elapsed, seconds = watch.elapsed, watch.seconds
    assert elapsed > 0.4  # of a third of a core
    assert seconds < elapsed - 0.1


@pytest.mark.usefixtures("one_core", "others")
def test_the_waits_of_a_process_that_has_ended_are_remembered() -> None:
    watch = Stopwatch()
    run_together(2, watch)
    assert watch.waited > 0.1


@pytest.mark.usefixtures("one_core")
def test_what_they_wait_for_each_other_is_counted() -> None:
    watch = Stopwatch()
    run_together(3, watch)
    assert watch.without_a_core > watch.elapsed
    assert watch.seconds > 0.1
