from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.cores import cpu_seconds, family

if TYPE_CHECKING:
    import pytest


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


def test_a_thread_that_ends_while_it_is_looked_at_takes_its_process_along_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genuine = Path.iterdir
    ended = Path(f"/proc/{os.getpid()}/task/{2**22 + 1}")
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([ended, *genuine(folder)]))

    assert family(os.getpid())[0] == os.getpid()


def test_who_is_not_there_has_used_nothing() -> None:
    assert cpu_seconds(2**22 + 1) == 0
