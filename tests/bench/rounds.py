"""Rounds in which everybody is measured once, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from tests.bench.cores import busy_seconds, core_of, cpu_seconds
from tests.bench.spread import Spread, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.contestants import Contestant
    from tests.bench.generator import Generator
    from tests.bench.job import Job, Outcome


_TRIES: Final = 3
Figure: TypeAlias = Literal["rate", "cost", "p50", "p99"]


class Task(Protocol):
    """Something to measure."""

    @property
    def title(self) -> str:
        """What it is called."""

    def job(self, asked: Contestant, *, seconds: float, warm_up: float) -> Job:
        """What the generator is to ask of one contestant."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant's part of a round."""

    outcome: Outcome
    cost: float
    """Microseconds of processor time that an answer took the server: other work moves it least."""
    server: float
    """Share of the server's core that it used, warm-up included."""
    rest: Mapping[str, float]
    """The same on the other core, by process."""
    foreign: float
    """Share of the server's core that others took, who have nothing to do with this."""

    def figure(self, of: Figure) -> float:
        """One of what turns are compared by."""
        return self.cost if of == "cost" else float(getattr(self.outcome, of))


@dataclass(frozen=True, slots=True)
class Standing:
    """What all rounds say of one contestant."""

    rate: Spread
    cost: Spread
    p50: Spread
    p99: Spread
    late: Spread
    kept_up: bool
    """In most rounds, where requests came at a rate."""
    server: float
    rest: dict[str, float]
    bytes_each: float

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Standing:
        """From one contestant's turns."""
        outcomes = [turn.outcome for turn in turns]
        return cls(
            rate=Spread.of([one.rate for one in outcomes]),
            cost=Spread.of([turn.cost for turn in turns]),
            p50=Spread.of([one.p50 for one in outcomes]),
            p99=Spread.of([one.p99 for one in outcomes]),
            late=Spread.of([one.late for one in outcomes]),
            kept_up=median([one.kept_up for one in outcomes]) > 0.5,
            server=median([turn.server for turn in turns]),
            rest={name: median([turn.rest[name] for turn in turns]) for name in turns[0].rest},
            bytes_each=outcomes[0].bytes_each,
        )


class Table:
    """The rounds of one task."""

    def __init__(self, turns: Mapping[str, Sequence[Turn]]) -> None:
        self._turns = turns

    def standings(self) -> dict[str, Standing]:
        """Everybody, by title."""
        return {title: Standing.of(turns) for title, turns in self._turns.items()}

    def foreign(self) -> Spread:
        """What share of the server's core others took, over all turns."""
        return Spread.of([turn.foreign for turns in self._turns.values() for turn in turns])

    def ratio(self, ours: str, theirs: str, *, of: Figure = "rate") -> Spread:
        """One's figure over the other's, round by round."""
        one, other = ([turn.figure(of) for turn in self._turns[title]] for title in (ours, theirs))
        return ratios(one, other)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rounds, how long a turn."""

    rounds: int
    seconds: float
    warm_up: float


def play(
    task: Task,
    everybody: Sequence[Contestant],
    *,
    pace: Pace,
    generator: Generator,
    others: Mapping[str, int],
    say: Callable[[str], None],
    rehearse: bool = True,
) -> Table:
    """Play the rounds. Each begins with somebody else, so that no place in the order is anyone's.

    To rehearse is one round more that does not count: compilers and pools warm up in it.
    `others`: processes on the generator's core, by name. Raises SystemExit when
    answers were not 200, or not the caller's own, again and again: then nothing was
    measured.
    """
    if rehearse:
        say(f"{task.title}: everybody warms up")
    for one in everybody if rehearse else ():
        _clean_turn(task, one, pace, generator, others, say)
    turns: dict[str, list[Turn]] = {one.title: [] for one in everybody}
    for number in range(pace.rounds):
        begin = number % len(everybody)
        for one in [*everybody[begin:], *everybody[:begin]]:
            turn = _clean_turn(task, one, pace, generator, others, say)
            turns[one.title].append(turn)
            say(
                f"{task.title}, round {number + 1} of {pace.rounds}: {one.title:28}"
                f"{turn.outcome.rate:8,.0f}/s  p50 {turn.outcome.p50:6.2f} ms"
                f"  p99 {turn.outcome.p99:6.2f} ms"
            )
    return Table(turns)


def _clean_turn(
    task: Task,
    one: Contestant,
    pace: Pace,
    generator: Generator,
    others: Mapping[str, int],
    say: Callable[[str], None],
) -> Turn:
    """A turn with nothing but good answers; on a machine with other work the first may not be."""
    for _ in range(_TRIES):
        turn = _turn(task, one, pace, generator, others)
        outcome = turn.outcome
        if outcome.clean:
            return turn
        failed = (
            f"{one.title} failed: {outcome.statuses}, {outcome.strangers} answers to others, "
            f"{outcome.broken} broken connections"
        )
        say(f"{failed}; once more")
        if outcome.strangers:
            break  # that is no matter of load
    raise SystemExit(failed)


def _turn(
    task: Task, one: Contestant, pace: Pace, generator: Generator, others: Mapping[str, int]
) -> Turn:
    job = task.job(one, seconds=pace.seconds, warm_up=pace.warm_up)
    watched = {"server": one.server.pid, "generator": generator.pid, **others}
    core = core_of(one.server.pid)
    busy = busy_seconds(core)
    before = {name: cpu_seconds(pid) for name, pid in watched.items()}
    outcome = generator.measure(job)
    seconds = outcome.seconds + pace.warm_up
    used = {name: cpu_seconds(pid) - before[name] for name, pid in watched.items()}
    foreign = busy_seconds(core) - busy - used["server"]
    shares = {name: each / seconds for name, each in used.items()}
    shares["generator"] = outcome.cpu  # without the making of its requests
    return Turn(
        outcome,
        cost=used["server"] / max(outcome.served, 1) * 1e6,
        server=shares.pop("server"),
        rest=shares,
        foreign=max(foreign / seconds, 0.0),
    )
