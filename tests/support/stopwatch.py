"""How long things take, less what the machine is guilty of."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_NANOSECOND: Final = 1e-9
_LOOK_EVERY_SECONDS: Final = 0.1


class Stopwatch:
    """Counts from when it is made.

    On Linux the kernel tells of every thread for how long it could have run and
    got no core, because others had them. A machine that is busy with something
    else makes that time long, and a limit on `seconds` is as strict as on one
    that is not. Elsewhere nothing is left out.
    """

    def __init__(self, *, alone: bool = False) -> None:
        """`alone`: only the calling thread is looked at, which is quick.

        Otherwise this process, and all that descend from it, are.
        """
        self._alone = alone
        self._began = time.monotonic()
        self._seen: dict[str, int] = {}
        self._waits: dict[str, int] = {}
        self._next_look = 0.0
        self.look()

    @property
    def elapsed(self) -> float:
        """Seconds by the clock on the wall."""
        return time.monotonic() - self._began

    @property
    def seconds(self) -> float:
        """What it took so far."""
        elapsed = self.elapsed
        self.look(now=True)
        return max(elapsed - self.waited, 0.0)

    @property
    def waited(self) -> float:
        """Seconds without a core up to the last look, of all threads together."""
        return sum(self._waits.values()) * _NANOSECOND

    def exceeds(self, limit: float) -> bool:
        """Whether it has taken longer; to be asked again and again."""
        self.look()
        return self.elapsed > limit and self.seconds > limit

    def look(self, *, now: bool = False) -> None:
        """Remember the waits of those who may end soon; not too often unless `now`."""
        moment = time.monotonic()
        if not now and moment < self._next_look:
            return
        self._next_look = moment + _LOOK_EVERY_SECONDS
        first = not self._seen
        for thread in ["/proc/thread-self"] if self._alone else _threads(os.getpid()):
            total = _wait(thread)
            if total is None:
                continue  # it has just ended
            # One that is new has waited since it began, which was after this did.
            former = self._seen.setdefault(thread, total if first else 0)
            self._waits[thread] = max(total - former, 0)


def _threads(root: int) -> list[str]:
    """Where the kernel tells of each thread of the process and its descendants."""
    found: list[str] = []
    left = [root]
    while left:
        try:
            tasks = list(Path(f"/proc/{left.pop()}/task").iterdir())
            children = [(task / "children").read_text().split() for task in tasks]
        except OSError:  # it has ended, or this is no Linux
            continue
        found += map(str, tasks)
        left += [int(pid) for pids in children for pid in pids]
    return found


def _wait(thread: str) -> int | None:
    """Nanoseconds that it has waited for a core in its life."""
    try:
        return int(Path(f"{thread}/schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return None
