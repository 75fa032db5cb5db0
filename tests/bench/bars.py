"""What the project has promised of its speed, each promise beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.contestants import BARE, EXPRESS, FASTAPI, MINIGATE

if TYPE_CHECKING:
    from tests.bench.idle import Idle
    from tests.bench.rounds import Table
    from tests.bench.spread import Spread

_LOOK_MS: Final = 0.15
_SESSION_BYTES: Final = 520
_WORKER_MB: Final = 75
_CROWD_RATIO: Final = 1.05


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise, kept or not."""

    what: str
    promised: str
    measured: str
    kept: bool

    @property
    def verdict(self) -> str:
        """For the table."""
        return "pass" if self.kept else "**miss**"


def at_least(what: str, table: Table, peer: str, least: float) -> Bar:
    """A ratio of throughputs, judged by its median.

    What the server's processor time says is told beside it: it hardly moves
    when the machine has other work.
    """
    ratio = table.ratio(MINIGATE, peer)
    standings = table.standings()
    by_time = standings[peer].cost / standings[MINIGATE].cost
    measured = f"{ratio.text()}; by processor time {by_time:.2f}"
    return Bar(what, f"at least {least:g}", measured, ratio.median >= least)


def validation(table: Table, titles: set[str]) -> list[Bar]:
    """The guard against the bare route and the two best-known peers."""
    wanted = {BARE: 0.90, FASTAPI: 4.0, EXPRESS: 2.0}
    return [
        at_least(f"`/verify` against {peer}", table, peer, least)
        for peer, least in wanted.items()
        if peer in titles
    ]


def login(table: Table) -> Bar:
    """A known user's login against the one call that it cannot do without."""
    return at_least(
        "login of a known user against bare Sanic with the same call", table, BARE, 0.75
    )


def idle(found: Idle) -> Bar:
    """The guard's price where nothing queues."""
    most = found.redis.median + _LOOK_MS
    return Bar(
        "one connection, no load: p50 of `/verify` over the bare route, ms",
        f"under {most:.2f} (a round trip to Redis, {found.redis.text()}, + {_LOOK_MS})",
        found.over.text(),
        found.over.median < most,
    )


def session_bytes(ours: float, plain: float, count: int) -> Bar:
    """What a session takes in Redis."""
    return Bar(
        f"memory of Redis per session, {count:,} of them, expiry included, bytes",
        f"under {_SESSION_BYTES} (two plain keys with ids as long, nothing sealed: {plain:.0f})",
        f"{ours:.0f}",
        ours < _SESSION_BYTES,
    )


def crowd(p50: Spread, few: int, many: int) -> Bar:
    """Whether a check notices how many sessions there are: `p50` is many over few."""
    return Bar(
        f"p50 of `/verify` with {many:,} sessions against {few:,}",
        f"at most {_CROWD_RATIO}",
        p50.text(),
        p50.median <= _CROWD_RATIO,
    )


def worker_memory(rss: float, pss: float) -> Bar:
    """What a worker takes after all of this."""
    return Bar(
        "memory of a worker after these runs, MB",
        f"under {_WORKER_MB}",
        f"{rss:.0f} RSS, {pss:.0f} PSS",
        rss < _WORKER_MB,
    )
