"""What the project has promised of its speed, each promise beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.contestants import BARE, EXPRESS, FASTAPI, FASTIFY, MINIGATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.idle import Idle
    from tests.bench.rounds import Table
    from tests.bench.spread import Spread

_VALIDATION: Final = {BARE: 1.8, FASTAPI: 6.0, EXPRESS: 3.0, FASTIFY: 0.8}
_LOGIN: Final = {BARE: 0.55}
_LOOK_MS: Final = 0.03
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
    """A known user's login against the one call that it cannot do without."""
    return list(_against("login of a known user against", table, _LOGIN))


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
