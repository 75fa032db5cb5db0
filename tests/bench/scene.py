"""Everybody on one stage, with users and sessions, found fair and ready to be measured."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import Redis

from tests.bench import fairness
from tests.bench.contestants import start_all
from tests.bench.generator import generator
from tests.bench.population import populate
from tests.bench.rounds import play
from tests.bench.stage import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.bench.contestants import Contestant, Everybody
    from tests.bench.cores import Cores
    from tests.bench.generator import Generator
    from tests.bench.population import Population
    from tests.bench.rounds import Pace, Table, Task
    from tests.bench.stage import Running


@dataclass(frozen=True, slots=True)
class Scene:
    """One server has something to do at a time."""

    cores: Cores
    redis: Running
    everybody: Everybody
    crowd: Population
    generator: Generator
    others: Mapping[str, int]
    """Processes on the generator's core."""
    say: Callable[[str], None]

    def play(
        self, task: Task, who: Sequence[Contestant], pace: Pace, *, rehearse: bool = True
    ) -> Table:
        """As rounds.play has it."""
        return play(
            task,
            who,
            pace=pace,
            generator=self.generator,
            others=self.others,
            say=self.say,
            rehearse=rehearse,
        )


@contextmanager
def scene(cores: Cores, say: Callable[[str], None]) -> Iterator[Scene]:
    """Started, filled and checked; everything is stopped in the end."""
    with stage() as place, generator(cores.rest) as load:
        say("starting Redis, the simulator, MiniGate and its peers")
        redis, simulator = place.redis(cores.rest), place.simulator(cores.rest)
        everybody = start_all(place, cores.server, redis=redis, wechat=simulator.url)
        crowd = populate(
            redis,
            simulator,
            ours=place.home / "minigate" / "users.db",
            theirs=[one.accounts for one in everybody.login if one.accounts],
        )
        with Redis(port=redis.port) as client:
            fairness.check(everybody, person=crowd.spare, redis=client, login=crowd.login)
        say(f"fair: {len(everybody.validate)} servers give the same answers")
        others = {"redis": redis.pid, "simulator": simulator.pid}
        yield Scene(cores, redis, everybody, crowd, load, others, say)
