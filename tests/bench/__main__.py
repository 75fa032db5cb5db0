"""`make bench`: everything of one machine in one run, written to docs/performance.md."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from redis import Redis

from tests.bench import bars, crowds, fairness, idle, report
from tests.bench.contestants import start_all
from tests.bench.cores import Cores, memory_mb
from tests.bench.generator import generator
from tests.bench.population import SESSIONS, populate
from tests.bench.progress import Progress
from tests.bench.rounds import Pace, play
from tests.bench.stage import stage, worker_of


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure what."""

    validate: Pace
    login: Pace
    idle_rounds: int
    crowd: Pace
    many: int
    weighed: int


FULL: Final = Plan(
    validate=Pace(rounds=10, seconds=2.5, warm_up=0.5),
    login=Pace(rounds=8, seconds=2.5, warm_up=0.5),
    idle_rounds=15,
    crowd=Pace(rounds=12, seconds=2.5, warm_up=0.5),
    many=1_000_000,
    weighed=100_000,
)
QUICK: Final = Plan(
    validate=Pace(rounds=2, seconds=0.7, warm_up=0.3),
    login=Pace(rounds=2, seconds=0.7, warm_up=0.3),
    idle_rounds=3,
    crowd=Pace(rounds=3, seconds=0.7, warm_up=0.3),
    many=20_000,
    weighed=20_000,
)


def measure(plan: Plan, say: Progress) -> report.Findings:
    """Everything, one after the other; one server has something to do at a time."""
    cores = Cores.pick()
    os.sched_setaffinity(0, {cores.rest})
    with stage() as place, generator(cores.rest) as load:
        say("starting Redis, the simulator, MiniGate and its peers")
        redis, simulator = place.redis(cores.rest), place.simulator(cores.rest)
        everybody = start_all(place, cores.server, redis=redis, wechat=simulator.url)
        crowd = populate(redis, simulator, [place.home / "minigate" / "users.db"])
        with Redis(port=redis.port) as client:
            fairness.check(everybody, person=crowd.spare, redis=client, login=crowd.login)
        say(f"fair: {len(everybody)} servers give the same answers")
        others = {"redis": redis.pid, "simulator": simulator.pid}
        validated = play(
            crowd.validation,
            everybody,
            pace=plan.validate,
            generator=load,
            others=others,
            say=say,
        )
        logged_in = play(
            crowd.login, everybody, pace=plan.login, generator=load, others=others, say=say
        )
        say("one connection")
        alone = idle.measure(
            everybody,
            crowd.validation.crowd,
            redis=redis,
            cores=cores,
            generator=load,
            rounds=plan.idle_rounds,
            seconds=0.4,
        )
        worker = memory_mb(worker_of(everybody[-1].server))
    verdicts = [*bars.validation(validated), *bars.login(logged_in), bars.idle(alone)]
    verdicts += _crowded(plan, cores, say)
    return report.Findings(validated, logged_in, [*verdicts, bars.worker_memory(*worker)])


def _crowded(plan: Plan, cores: Cores, say: Progress) -> list[bars.Bar]:
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
    """Measure and write; `--quick` takes a minute and writes nothing under docs/."""
    quick = "--quick" in arguments
    say = Progress()
    findings = measure(QUICK if quick else FULL, say)
    print(f"\n{report.text(findings)}")
    if not quick:
        report.write(findings)
        say(f"written to {report.PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
