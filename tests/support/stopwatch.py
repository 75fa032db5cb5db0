"""How long things take, less what the machine is guilty of."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

_NANOSECOND: Final = 1e-9
_LOOK_EVERY_SECONDS: Final = 0.1


class Stopwatch:
    """Counts from when it is made.

    On Linux the kernel tells of every thread for how long it could have run and
    got no core. A machine that is busy with something else makes that time long,
    and a limit on `seconds` is as strict as on one that is not. What the threads
    that are looked at wait for each other is theirs: no more is left out than
    the share of the machine that others took. Elsewhere nothing is.
    """

    def __init__(self, *, alone: bool = False) -> None:
        """`alone`: only the calling thread is looked at, which is quick.

        Otherwise this process, and all that descend from it, are.
        """
        self._alone = alone
        self._began = time.monotonic()
        self._busy = self._busy_at_first = _busy()
        self._at_first: dict[str, _Times] = {}
        self._latest: dict[str, _Times] = {}
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
        """Seconds up to the last look that others kept it waiting."""
        if self._alone:
            return self.without_a_core
        ran = sum(now.ran - self._at_first[one].ran for one, now in self._latest.items())
        others = max(self._busy - self._busy_at_first - ran, 0.0) / (os.cpu_count() or 1)
        return min(self.without_a_core, others)

    @property
    def without_a_core(self) -> float:
        """Seconds up to the last look that its threads wanted one, of all together."""
        return sum(now.waited - self._at_first[one].waited for one, now in self._latest.items())

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
        first = not self._latest
        self._busy = _busy()
        for thread in ["/proc/thread-self"] if self._alone else _threads(os.getpid()):
            times = _times(thread)
            if times is not None:  # else it has just ended
                former = self._latest.get(thread)
                # One that is new, or has the number of one that ended, began after this did.
                if former is None or times.ran < former.ran:
                    self._at_first[thread] = times if first else _Times(0.0, 0.0)
                self._latest[thread] = times


class _Times(NamedTuple):
    """Seconds with a core, and seconds without the one that was wanted."""

    ran: float
    waited: float


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


def _times(thread: str) -> _Times | None:
    """Of its whole life."""
    try:
        ran, waited, _ = Path(f"{thread}/schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return _Times(int(ran) * _NANOSECOND, int(waited) * _NANOSECOND)


def _busy() -> float:
    """Seconds that the machine's cores have worked since it started, for whomever."""
    try:
        cores = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:  # no Linux
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, cores[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
