from __future__ import annotations

import os
import threading
import time

from tests.bench.cores import cpu_seconds


def test_the_time_of_a_process_is_that_of_its_threads_the_ended_ones_too() -> None:
    """As the kernel tells the process itself, to the nanosecond."""

    def work() -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    before = cpu_seconds(os.getpid())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    least = time.process_time()

    assert cpu_seconds(os.getpid()) - before >= 0.05
    assert least <= cpu_seconds(os.getpid())


def test_who_is_not_there_has_used_nothing() -> None:
    assert cpu_seconds(2**22 + 1) == 0
