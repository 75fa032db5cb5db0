"""What the project has promised of its speed, each promise beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.contestants import (
    BARE,
    EXPRESS,
    EXPRESS_SQL,
    FASTAPI,
    FASTAPI_SQL,
    FASTIFY,
    MINIGATE,
    UNCOUNTED,
    UNGUARDED,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.idle import Idle
    from tests.bench.loads import Load
    from tests.bench.rounds import Table
    from tests.bench.spread import Spread

_VALIDATION: Final = {BARE: 1.8, FASTAPI: 6.0, EXPRESS: 3.0, FASTIFY: 0.8}
_LOGIN: Final = {BARE: 0.55, EXPRESS_SQL: 1.0, FASTAPI_SQL: 2.0}
CONNECTIONS: Final = {1: 1.3, 8: 0.8, 256: 0.5}
"""The most processor time of a check, in the bare route's, by how many connections ask."""
_LOOK_MS: Final = 0.03
_SESSION_BYTES: Final = 520
_WORKER_MB: Final = 75
_CROWD_RATIO: Final = 1.05
_COUNTING_RATIO: Final = 1.02


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


def _against(what: str, table: Table, wanted: Mapping[str, float]) -> Iterator[Bar]:
    """Two bars for each peer that is here: by answers per second and by processor time.

    The second hardly moves when the machine has other work.
    """
    here = table.standings()
    for peer, least in wanted.items():
        if peer not in here:
            continue
        rates, costs = table.ratio(MINIGATE, peer), table.ratio(peer, MINIGATE, of="cost")
        for ratio, by in ((rates, "answers/s"), (costs, "processor time")):
            promised = f"at least {least:g} x"
            yield Bar(f"{what} {peer}, by {by}", promised, ratio.text(), ratio.median >= least)


def validation(table: Table) -> list[Bar]:
    """The guard against the bare route and the peers that most people know."""
    return list(_against("`/verify` against", table, _VALIDATION))


def login(table: Table) -> list[Bar]:
    """A known user's login: against the one call that it needs, and peers that do the same work."""
    return list(_against("login of a known user against", table, _LOGIN))


def few_and_many(tables: Mapping[int, Table]) -> list[Bar]:
    """What a check costs where little can be done together, and where much can."""
    return [
        _at_most(
            f"processor time of `/verify` over that of {BARE}, connections: {count}",
            tables[count].ratio(MINIGATE, BARE, of="cost"),
            most,
        )
        for count, most in CONNECTIONS.items()
    ]


def counting(table: Table) -> Bar:
    """What `/metrics` costs a check."""
    return _at_most(
        "processor time of `/verify` over that without metrics",
        table.ratio(MINIGATE, UNCOUNTED, of="cost"),
        _COUNTING_RATIO,
    )


def load(found: Load) -> Bar:
    """Latency where requests come as they come, at a load that MiniGate is made for."""
    standings = found.table.standings()
    peers = [title for title in standings if title not in {*UNGUARDED, MINIGATE}]
    behind = [title for title in peers if not standings[title].kept_up]
    ratios = {
        title: found.table.ratio(MINIGATE, title, of="p99")
        for title in peers
        if title not in behind
    }
    told = [f"{title} {ratio.text()}" for title, ratio in ratios.items()]
    if behind:
        told.append(f"could not keep up: {', '.join(behind)}")
    ours = standings[MINIGATE]
    kept = ours.kept_up and all(ratio.median < 1 for ratio in ratios.values())
    return Bar(
        f"p99 of `/verify` over each peer's at {found.rate:,.0f}/s, {found.share:.0%} of "
        f"{found.of}'s most",
        "below 1, or the peer cannot keep up",
        f"{ours.p99.text()} ms; " + "; ".join(told),
        kept,
    )


def idle(found: Idle) -> Bar:
    """The guard's price where nothing queues."""
    most = found.redis.median + _LOOK_MS
    return Bar(
        f"one connection, no load: p50 of `/verify` over that of {BARE}, ms",
        f"at most {most:.3f} (a round trip to Redis, {found.redis.text(3)}, + {_LOOK_MS})",
        found.over.text(3),
        found.over.median <= most,
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
    return _at_most(f"p50 of `/verify` with {many:,} sessions over {few:,}", p50, _CROWD_RATIO)


def _at_most(what: str, ratio: Spread, most: float) -> Bar:
    return Bar(what, f"at most {most:g}", ratio.text(), ratio.median <= most)


def worker_memory(rss: float, pss: float) -> Bar:
    """What a worker takes after all of this."""
    return Bar(
        "memory of a worker after these runs, MB",
        f"under {_WORKER_MB}",
        f"{rss:.0f} RSS, {pss:.0f} PSS",
        rss < _WORKER_MB,
    )
