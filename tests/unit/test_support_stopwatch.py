"""What others did to this machine is not counted; what one waited for oneself is."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.children import spawn
from tests.support.process import LINUX_ONLY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = LINUX_ONLY

BUSY = [sys.executable, "-S", "-c", "while True: pass"]
WORK = [sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.3: pass"]


def work() -> None:
    """A fifth of a second of a core."""
    over = time.thread_time() + 0.2
    while time.thread_time() < over:
        pass


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


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("alone", [False, True])
def test_time_without_a_core_is_not(*, alone: bool) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.callback(stack.enter_context(spawn(BUSY)).kill)
        watch = Stopwatch(alone=alone)
        work()
        elapsed, seconds = watch.elapsed, watch.seconds
    assert elapsed > 0.35
    assert seconds < 0.35


@pytest.mark.usefixtures("one_core")
def test_the_waits_of_a_process_that_has_ended_are_remembered() -> None:
    watch = Stopwatch()
    both = [spawn(WORK) for _ in range(2)]
    while any(one.poll() is None for one in both):
        watch.look()
        time.sleep(0.01)
    assert watch.waited > 0.1
