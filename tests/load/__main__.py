"""`make load`: two workers through storms and slow days, with a report and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench.people import people, register
from tests.bench.stage import REPOSITORY, stage
from tests.load.thresholds import DEFAULT

_BUILD: Final = REPOSITORY / "build" / "load"
_KNOWN: Final = 5000
"""So many of those who log in have an account; whoever comes after them gets one."""


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
                *("--html", str(report), "--csv", str(_BUILD / "stats")),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "SIMULATOR": simulator.url,
                "THRESHOLDS": str(thresholds),
                "SCALE": scale,
            },
        )
    print(f"\nreport: {report}", flush=True)
    print("all thresholds held" if code == 0 else "thresholds were MISSED", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
