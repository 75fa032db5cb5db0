"""How a Redis full of sessions weighs, and whether a check notices how full it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from redis import Redis

from tests.bench.contestants import MINIGATE, Contestant
from tests.bench.people import our_records, people, plain_records, store
from tests.bench.rounds import play
from tests.bench.tasks import Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tests.bench.cores import Cores
    from tests.bench.generator import Generator
    from tests.bench.job import Job
    from tests.bench.people import Person
    from tests.bench.rounds import Pace, Table
    from tests.bench.stage import Running, Stage

_SAMPLE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Filled:
    """A Redis that holds so many sessions."""

    server: Running
    sessions: int
    bytes_each: float
    sample: list[Person]
    """Some of their holders, spread over the whole."""


def fill(stage: Stage, core: int, count: int) -> Filled:
    """A Redis with `count` sessions of MiniGate's and nothing else."""
    server = stage.redis(core, name=f"redis-{count}")
    sample: list[Person] = []
    step = max(count // _SAMPLE, 1)

    def noted() -> Iterator[Person]:
        for number, person in enumerate(people(count)):
            if number % step == 0:
                sample.append(person)
            yield person

    each = _weigh(server, our_records(noted()), count)
    return Filled(server, count, each, sample)


def plain_bytes_each(stage: Stage, core: int, count: int) -> float:
    """What a session takes in the two keys of the usual layout."""
    server = stage.redis(core, name=f"redis-plain-{count}")
    return _weigh(server, plain_records(people(count)), count)


def compare(
    stage: Stage,
    filled: Sequence[Filled],
    *,
    cores: Cores,
    pace: Pace,
    generator: Generator,
    say: Callable[[str], None],
) -> Table:
    """Ask a MiniGate in front of each of these, in turns; titles are the numbers of sessions."""
    everybody = [
        Contestant(
            title=f"{one.sessions}",
            server=stage.minigate(
                cores.server, redis=one.server, name=f"{MINIGATE}-{one.sessions}"
            ),
        )
        for one in filled
    ]
    tasks = {f"{one.sessions}": Validation(one.sample) for one in filled}
    return play(_EachItsOwn(tasks), everybody, pace=pace, generator=generator, others={}, say=say)


class _EachItsOwn:
    """Validation, where each has other sessions."""

    title = "validate among so many"

    def __init__(self, tasks: dict[str, Validation]) -> None:
        self._tasks = tasks

    def job(self, asked: Contestant, *, seconds: float, warm_up: float) -> Job:
        """What the generator is to do."""
        return self._tasks[asked.title].job(asked, seconds=seconds, warm_up=warm_up)


def _weigh(server: Running, records: Iterable[tuple[str, bytes]], count: int) -> float:
    with Redis(port=server.port) as redis:
        before = redis.info("memory")["used_memory"]
        store(redis, records)
        return float(redis.info("memory")["used_memory"] - before) / count
