"""What the main process tells of the workers: a few numbers, in a file that is read at a scrape."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, TypeAlias

from service.metrics.folder import forget_gauges, write_main

if TYPE_CHECKING:
    from pathlib import Path

Reason: TypeAlias = Literal["died", "hung", "asked"]


class WorkerMetrics:
    """Does nothing where there is no folder."""

    def __init__(self, folder: Path | None, *, wanted: int) -> None:
        """`wanted`: how many workers there should be."""
        self._folder = folder
        self._facts = {"workers": 0, "workers_wanted": wanted, "start_time_seconds": time.time()}
        self._restarts: dict[Reason, int] = {"died": 0, "hung": 0, "asked": 0}

    def place(self, identity: str) -> tuple[Path, str] | None:
        """Where a worker is to count, and by which name."""
        return (self._folder, identity) if self._folder else None

    def forget(self, identity: str) -> None:
        """Hear that the worker of this name has ended."""
        if self._folder:
            forget_gauges(self._folder, identity)

    def count_restart(self, reason: Reason) -> None:
        """Count a worker that was started in place of another one."""
        self._restarts[reason] += 1
        self._write()

    def tell(self, workers: int) -> None:
        """Say how many serve."""
        if workers != self._facts["workers"]:
            self._facts["workers"] = workers
            self._write()

    def _write(self) -> None:
        if self._folder:
            write_main(self._folder, {**self._facts, "restarts": self._restarts})
