"""`make bench`: everything of one machine in one run, written to docs/performance.md.

`--quick` takes a minute or two, `--only` measures one part; both print and write nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.bench import bars, crowds, idle, loads, report
from tests.bench.contestants import BARE, MINIGATE
from tests.bench.cores import Cores, memory_mb
from tests.bench.generator import generator
from tests.bench.plan import FULL, QUICK
from tests.bench.population import SESSIONS
from tests.bench.progress import Progress
from tests.bench.scene import scene
from tests.bench.stage import stage, worker_of

if TYPE_CHECKING:
    from tests.bench.bars import Bar
    from tests.bench.plan import Plan
    from tests.bench.report import Findings
    from tests.bench.rounds import Table
    from tests.bench.scene import Scene

PARTS: Final = ("validate", "login", "sessions")


def measure(plan: Plan, parts: set[str], say: Progress) -> Findings:
    """One part after the other; one server has something to do at a time."""
    cores = Cores.pick()
    os.sched_setaffinity(0, {cores.rest})
    found, memory = report.Findings(), []
    if parts & {"validate", "login"}:
        with scene(cores, say) as place:
            if "validate" in parts:
                _validate(place, plan, found)
            if "login" in parts:
                found.login = place.play(place.crowd.login, place.everybody.login, plan.login)
                found.bars += bars.login(found.login)
            memory = [bars.worker_memory(*memory_mb(worker_of(place.everybody.login[-1].server)))]
    if "sessions" in parts:
        found.bars += _sessions(plan, cores, say)
    found.bars += memory
    return found


def _validate(place: Scene, plan: Plan, found: Findings) -> None:
    task = place.crowd.validation
    found.validate = place.play(task, place.everybody.validate, plan.validate)
    found.bars += bars.validation(found.validate)
    found.bars += bars.few_and_many(_few_and_many(place, plan))
    ours = place.everybody.validate[-1]
    both = place.play(task, [ours, place.everybody.uncounted], plan.counting)
    found.bars.append(bars.counting(both))
    place.say("one connection, and a round trip to Redis")
    found.bars.append(bars.idle(idle.measure(place, rounds=plan.idle_rounds, seconds=0.4)))
    found.loads = loads.measure(place, found.validate, plan.loads)
    found.bars.append(bars.load(found.loads[-1]))


def _few_and_many(place: Scene, plan: Plan) -> dict[int, Table]:
    """The bare route and MiniGate, by how many connections ask."""
    who = [one for one in place.everybody.validate if one.title in {BARE, MINIGATE}]
    return {
        count: place.play(
            replace(place.crowd.validation, connections=count),
            who,
            plan.few_and_many,
            rehearse=False,
        )
        for count in bars.CONNECTIONS
    }


def _sessions(plan: Plan, cores: Cores, say: Progress) -> list[Bar]:
    with stage() as place:
        say(f"weighing {plan.weighed:,} sessions")
        ours = crowds.fill(place, cores.rest, plan.weighed).bytes_each
        plain = crowds.plain_bytes_each(place, cores.rest, plan.weighed)
    with stage() as place, generator(cores.rest) as load:
        say(f"filling a Redis with {plan.many:,} sessions")
        filled = [crowds.fill(place, cores.rest, count) for count in (SESSIONS, plan.many)]
        found = crowds.compare(place, filled, cores=cores, pace=plan.crowd, generator=load, say=say)
    p50 = found.ratio(f"{plan.many}", f"{SESSIONS}", of="p50")
    return [
        bars.session_bytes(ours, plain, plan.weighed),
        bars.crowd(p50, SESSIONS, plan.many),
    ]


def main(arguments: list[str]) -> None:
    """Measure, print, and write if it was the whole."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--only", choices=PARTS, help="one part")
    asked = parser.parse_args(arguments)
    say = Progress()
    parts = {asked.only} if asked.only else set(PARTS)
    findings = measure(QUICK if asked.quick else FULL, parts, say)
    print(f"\n{report.text(findings)}")
    if not asked.quick and not asked.only:
        report.write(findings)
        say(f"written to {report.PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
