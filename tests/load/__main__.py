"""`make load`: two workers through storms and slow days, with a report and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.people import people, register
from tests.bench.stage import REPOSITORY, stage
from tests.load.counted import compare
from tests.load.thresholds import DEFAULT

if TYPE_CHECKING:
    from tests.bench.stage import Running

_BUILD: Final = REPOSITORY / "build" / "load"
_COUNTS: Final = _BUILD / "counts.json"
_KNOWN: Final = 5000
"""So many of those who log in have an account; whoever comes after them gets one."""
_TOLD_SECONDS: Final = 3
"""After which each worker has told the others what it has counted."""


def main(arguments: list[str]) -> int:
    """Start everything, let locust loose, and return what it returns.

    One argument may say how many times as long the scenarios are to be.
    """
    scale = arguments[0] if arguments else "1"
    report = _BUILD / ("report.html" if scale == "1" else "report-short.html")
    thresholds = Path(os.environ.get("THRESHOLDS") or DEFAULT).resolve()
    with stage() as place:
        print("starting Redis, the simulator and MiniGate with two workers", flush=True)
        redis, simulator = place.redis(None), place.simulator(None)
        server = place.minigate(None, redis=redis, wechat=simulator.url, workers=2)
        register(place.home / "minigate" / "users.db", list(people(_KNOWN)))
        code = subprocess.call(  # noqa: S603 # our own command
            [
                *(str(_BUILD / "venv" / "bin" / "python"), "-m", "locust"),
                *("--locustfile", str(REPOSITORY / "tests" / "load" / "scenarios.py")),
                *("--host", server.url, "--headless", "--only-summary", "--loglevel", "WARNING"),
                # Nobody is stopped in the midst of a request, which only the service would count.
                *("--stop-timeout", "15"),
                *("--html", str(report), "--csv", str(_BUILD / "stats")),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "SIMULATOR": simulator.url,
                "THRESHOLDS": str(thresholds),
                "SCALE": scale,
                "COUNTS": str(_COUNTS),
            },
        )
        equal = _is_counted(server)
    print(f"\nreport: {report}", flush=True)
    print("all thresholds held" if code == 0 else "thresholds were MISSED", flush=True)
    return code or int(not equal)


def _is_counted(server: Running) -> bool:
    """Say whether /metrics has as many requests of each route as locust."""
    time.sleep(_TOLD_SECONDS)
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as reply:  # noqa: S310 # ours
        metrics = reply.read().decode()
    pairs = compare(json.loads(_COUNTS.read_text()), metrics)
    print("\nrequests, counted on either side:", *pairs, sep="\n", flush=True)
    return all(pair.is_equal for pair in pairs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
