"""Which core does what, and how much of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LAUNCHER: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: end with the benchmark, however that ends
if sys.argv[1] != "any":
    os.sched_setaffinity(0, {int(sys.argv[1])})
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Cores:
    """Two cores: one has the server under test to itself, the other everything else."""

    server: int
    rest: int

    @classmethod
    def pick(cls) -> Cores:
        """The first two that this process may use; raises SystemExit where there is one only."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise SystemExit("The benchmark needs two cores: one to serve, one to ask.")
        return cls(usable[0], usable[1])


def start_on(
    core: int | None,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a process that, with all it starts, stays on `core`; None: goes where it likes.

    It ends with this one. `env` is added to the environment.
    """
    where = "any" if core is None else str(core)
    launch = [sys.executable, "-S", "-c", _LAUNCHER, where, *command]
    return subprocess.Popen(launch, env={**os.environ, **(env or {})}, **options)  # noqa: S603 # ours


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        threads = list(Path(f"/proc/{root}/task").iterdir())
    except OSError:
        return []
    children = (child for thread in threads for child in _started_by(thread))
    return [root, *(pid for child in children for pid in family(child))]


def _started_by(thread: Path) -> list[int]:
    try:
        return [int(child) for child in (thread / "children").read_text().split()]
    except OSError:  # it has just ended, and its process goes on
        return []


def cpu_seconds(root: int) -> float:
    """What a process and its descendants have used so far."""
    return sum(_cpu_seconds(pid) for pid in family(root))


def _cpu_seconds(pid: int) -> float:
    try:
        return time.clock_gettime(_processor_clock(pid))
    except OSError:
        return 0.0


def _processor_clock(pid: int) -> int:
    """The id of a process's own clock, as `clock_getcpuclockid` makes it.

    It counts nanoseconds, threads that have ended included; /proc counts
    hundredths of a second.
    """
    return ~pid << 3 | 2


def core_of(pid: int) -> int | None:
    """The core that a process is pinned to; None when it may use several."""
    usable = os.sched_getaffinity(pid)
    return min(usable) if len(usable) == 1 else None


def busy_seconds(core: int | None) -> float:
    """How long a core has worked for processes so far, or for other machines of the same host."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _wait, _irq, _softirq, steal = line.split()[1:9]
            return sum(map(int, (user, nice, system, steal))) / _TICKS
    return 0.0


def memory_mb(pid: int) -> tuple[float, float]:
    """RSS and PSS of one process: with shared pages in full, and with its share of them."""
    sizes = {
        line.split(":")[0]: int(line.split()[1])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        if line.endswith("kB")
    }
    return sizes["Rss"] / 1024, sizes["Pss"] / 1024
