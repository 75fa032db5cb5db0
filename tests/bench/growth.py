"""`make growth`: what more sessions and more workers change, and what each thing costs."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from redis import Redis

from tests.bench import crowds, growth_report
from tests.bench.contestants import MINIGATE, Contestant
from tests.bench.cores import Cores, memory_mb
from tests.bench.generator import generator
from tests.bench.growth_report import Connections, Cost, Growth, Size, Workers
from tests.bench.population import populate
from tests.bench.progress import Progress
from tests.bench.rounds import Pace, play
from tests.bench.stage import BUILD, stage, worker_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.generator import Generator
    from tests.bench.population import Population
    from tests.bench.rounds import Table
    from tests.bench.stage import Running

RESULT: Final = BUILD / "growth.json"
_MARKERS: Final = "minigate:code:*"
_ESTABLISHED: Final = "01"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    sizes: tuple[int, ...]
    plain_up_to: int
    sessions: Pace
    work: Pace
    throughput_workers: tuple[int, ...] = (1, 2)
    connection_workers: tuple[int, ...] = (1, 2, 3, 4)


FULL: Final = Plan(
    sizes=(1_000, 10_000, 100_000, 1_000_000),
    plain_up_to=100_000,
    sessions=Pace(rounds=8, seconds=2.0, warm_up=0.5),
    work=Pace(rounds=5, seconds=2.5, warm_up=0.5),
)
QUICK: Final = Plan(
    sizes=(1_000, 10_000, 50_000),
    plain_up_to=10_000,
    sessions=Pace(rounds=2, seconds=0.7, warm_up=0.3),
    work=Pace(rounds=2, seconds=0.7, warm_up=0.3),
)


def measure(plan: Plan, say: Progress) -> Growth:
    """All of it, one after the other."""
    cores = Cores.pick()
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores.rest})
    sizes = _sizes(plan, cores, say)
    cost = _cost(plan, cores, say)
    os.sched_setaffinity(0, everywhere)
    return Growth(
        sizes=sizes,
        cost=cost,
        workers=[_workers(count, plan, say) for count in plan.throughput_workers],
        connections=[_connections(count, say) for count in plan.connection_workers],
    )


def _sizes(plan: Plan, cores: Cores, say: Progress) -> list[Size]:
    """Weight and latency by number of sessions."""
    with stage() as place, generator(cores.rest) as load:
        filled = []
        for count in plan.sizes:
            say(f"filling a Redis with {count:,} sessions")
            filled.append(crowds.fill(place, cores.rest, count))
        found = crowds.compare(
            place, filled, cores=cores, pace=plan.sessions, generator=load, say=say
        ).standings()
    with stage() as place:
        plain = {
            count: crowds.plain_bytes_each(place, cores.rest, count)
            for count in plan.sizes
            if count <= plan.plain_up_to
        }
    return [
        Size(
            sessions=one.sessions,
            bytes_each=one.bytes_each,
            plain_bytes_each=plain.get(one.sessions),
            p50=found[f"{one.sessions}"].p50,
            p99=found[f"{one.sessions}"].p99,
        )
        for one in filled
    ]


def _cost(plan: Plan, cores: Cores, say: Progress) -> Cost:
    """What one check and one login take of a worker's core and of Redis's."""
    with stage() as place, generator(cores.rest) as load:
        redis, simulator = place.redis(cores.rest), place.simulator(cores.rest)
        server = place.minigate(cores.server, redis=redis, wechat=simulator.url)
        crowd = populate(redis, simulator, ours=place.home / "minigate" / "users.db")
        others = {"redis": redis.pid, "simulator": simulator.pid}
        idle_mb, _ = memory_mb(worker_of(server))
        checked = _play(crowd, "validation", server, plan.work, load, others, say)
        with Redis(port=redis.port) as client:
            logged_in = _play(crowd, "login", server, plan.work, load, others, say)
            marker = _marker_bytes(client)
        check, login = checked.standings()[MINIGATE], logged_in.standings()[MINIGATE]
        return Cost(
            check_us=check.cost.median,
            check_redis_us=check.rest["redis"] / check.rate.median * 1e6,
            login_us=login.cost.median,
            login_redis_us=login.rest["redis"] / login.rate.median * 1e6,
            marker_bytes=marker,
            worker_mb=max(memory_mb(worker_of(server))[0], idle_mb),
        )


def _marker_bytes(client: Redis) -> float:
    """What the note of a used code takes for its five minutes."""
    sizes = [
        client.memory_usage(key) or 0
        for key, _ in zip(client.scan_iter(_MARKERS, count=1000), range(500), strict=False)
    ]
    return sum(sizes) / max(len(sizes), 1)


def _workers(count: int, plan: Plan, say: Progress) -> Workers:
    """Throughput with so many workers, wherever the kernel puts them."""
    with stage() as place, generator(None) as load:
        redis, simulator = place.redis(None), place.simulator(None)
        server = place.minigate(None, redis=redis, wechat=simulator.url, workers=count)
        crowd = populate(redis, simulator, ours=place.home / "minigate" / "users.db")
        say(f"{count} workers")
        checked = _play(crowd, "validation", server, plan.work, load, {}, say)
        logged_in = _play(crowd, "login", server, plan.work, load, {}, say)
        return Workers(
            workers=count,
            checks=checked.standings()[MINIGATE].rate,
            logins=logged_in.standings()[MINIGATE].rate,
        )


def _connections(count: int, say: Progress) -> Connections:
    """The connections that so many workers hold after a storm of checks and one of logins."""
    with stage() as place, generator(None) as load:
        redis, simulator = place.redis(None), place.simulator(None)
        server = place.minigate(None, redis=redis, wechat=simulator.url, workers=count)
        crowd = populate(redis, simulator, ours=place.home / "minigate" / "users.db")
        pace = Pace(rounds=1, seconds=1.0, warm_up=0.2)
        _play(crowd, "validation", server, pace, load, {}, lambda _: None)
        with Redis(port=redis.port) as client:
            checks = _clients(client)
            _play(crowd, "login", server, pace, load, {}, lambda _: None)
            found = Connections(
                workers=count,
                redis_after_checks=checks,
                redis_after_logins=_clients(client),
                wechat=_connected_to(simulator),
            )
    say(f"{count} workers hold {found.redis_after_logins} connections to Redis")
    return found


def _clients(client: Redis) -> int:
    return len(client.client_list()) - 1  # but for ours


def _connected_to(server: Running) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    suffix = f":{server.port:04X}"
    return sum(row[2].endswith(suffix) and row[3] == _ESTABLISHED for row in rows)


def _play(
    crowd: Population,
    what: str,
    server: Running,
    pace: Pace,
    load: Generator,
    others: dict[str, int],
    say: Callable[[str], None],
) -> Table:
    task = crowd.validation if what == "validation" else crowd.login
    everybody = [Contestant(MINIGATE, server)]
    return play(task, everybody, pace=pace, generator=load, others=others, say=say)


def main(arguments: list[str]) -> None:
    """Measure and write; `--quick` takes a minute and writes nothing under docs/."""
    quick = "--quick" in arguments
    say = Progress()
    growth = measure(QUICK if quick else FULL, say)
    print(f"\n{growth_report.text(growth)}")
    RESULT.write_bytes(orjson.dumps(asdict(growth), option=orjson.OPT_INDENT_2))
    if not quick:
        growth_report.write(growth)
        say(f"written to {growth_report.PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
