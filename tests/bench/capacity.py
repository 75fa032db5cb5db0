"""What so many daily users take, from measured constants: the figures of docs/capacity.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.bench.document import DOCS, insert, table
from tests.bench.morning import CHECKS_AN_OPEN, Day, live_through
from tests.bench.stage import BUILD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE: Final = DOCS / "capacity.md"
PLOT: Final = DOCS / "img" / "morning.svg"
OPENS_A_DAY: Final = 4.0
BUSY: Final = 0.5
"""Share of a core that is planned with, of workers and of Redis: the rest is for the bad minute."""
FULL: Final = 0.6
"""Share of a Redis node's memory that is planned with: fragmentation, replication buffers."""
NODE_GB: Final = 8
WECHAT_SECONDS: Final = 0.1
REDIS_CONNECTIONS: Final = 16
"""REDIS_MAX_CONNECTIONS, per worker."""
SQL_CONNECTIONS: Final = 5
"""DATABASE_CONNECTIONS, per worker."""
NEW_USERS: Final = 0.01
"""Of a day's users."""
ACCOUNTS_PER_DAILY_USER: Final = 5
ACCOUNT_BYTES: Final = 500
LOST_AT: Final = 8.5


@dataclass(frozen=True, slots=True)
class Constants:
    """As measured by `make growth`."""

    session_bytes: float
    marker_bytes: float
    check_us: float
    check_redis_us: float
    login_us: float
    login_redis_us: float
    worker_mb: float

    @classmethod
    def of(cls, growth: dict[str, Any]) -> Constants:
        """From the result of `make growth`."""
        weight = max(growth["sizes"], key=lambda size: size["sessions"])["bytes_each"]
        return cls(session_bytes=weight, **growth["cost"])


@dataclass(frozen=True, slots=True)
class Need:
    """What so many daily users take at the peak of an ordinary day."""

    users: int
    checks: float
    logins: float
    live: float
    redis_gb: float
    redis_cores: float
    worker_cores: float

    @property
    def nodes(self) -> int:
        """Redis primaries: by memory or by processor time, whichever asks for more."""
        return math.ceil(max(self.redis_gb / (NODE_GB * FULL), self.redis_cores / BUSY))

    @property
    def workers(self) -> int:
        """Of one core each; two at the least, so that one may die."""
        return max(math.ceil(self.worker_cores / BUSY), 2)

    @property
    def redis_connections(self) -> int:
        """To each node, at the most."""
        return self.workers * REDIS_CONNECTIONS

    @property
    def sql_connections(self) -> int:
        """To the database, at the most."""
        return self.workers * SQL_CONNECTIONS

    @property
    def wechat_in_flight(self) -> float:
        """Calls to WeChat under way."""
        return self.logins * WECHAT_SECONDS

    @property
    def sql_writes(self) -> float:
        """New accounts per second, if they come when the logins do."""
        return self.logins * NEW_USERS

    @property
    def sql_gb(self) -> float:
        """What the accounts take."""
        return self.users * ACCOUNTS_PER_DAILY_USER * ACCOUNT_BYTES / 1e9


def needs(users: int, day: Day, constants: Constants) -> Need:
    """From the day's peaks, each where it is."""
    checks = max(day.opens) * CHECKS_AN_OPEN * users
    logins, live = max(day.logins) * users, max(day.live) * users
    weight = live * constants.session_bytes + day.codes * users * constants.marker_bytes
    return Need(
        users=users,
        checks=checks,
        logins=logins,
        live=live,
        redis_gb=weight / 1e9,
        redis_cores=(checks * constants.check_redis_us + logins * constants.login_redis_us) / 1e6,
        worker_cores=(checks * constants.check_us + logins * constants.login_us) / 1e6,
    )


def text(constants: Constants, day: Day, lost: Day, users: Sequence[int]) -> str:
    """Everything in Markdown."""
    measured = table(
        ["constant", "", "measured"],
        [
            ["memory of Redis per session", "`Bs`", f"{constants.session_bytes:.0f} bytes"],
            ["and per used code, five minutes", "`Bc`", f"{constants.marker_bytes:.0f} bytes"],
            ["a check: worker", "`Wc`", f"{constants.check_us:.0f} µs"],
            ["a check: Redis", "`Rc`", f"{constants.check_redis_us:.1f} µs"],
            ["a login of a known user: worker", "`Wl`", f"{constants.login_us:.0f} µs"],
            ["a login: Redis", "`Rl`", f"{constants.login_redis_us:.0f} µs"],
            ["a worker", "", f"{constants.worker_mb:.0f} MB"],
        ],
    )
    worst = max(lost.logins) / max(day.logins)
    flows = (
        f"The average user logs in {day.logins_a_day:.2f} times a day, and at most "
        f"{max(day.live):.0%} of a day's users hold a session at once. If Redis loses its memory "
        f"at half past eight, logins jump to {worst:.0f} times the peak of an ordinary day."
    )
    rows = [needs(count, day, constants) for count in users]
    head = ["daily users", *(f"{row.users:,}" for row in rows)]
    return "\n\n".join([measured, flows, table(head, _rows(rows, worst, constants))])


def _rows(rows: Sequence[Need], worst: float, constants: Constants) -> Iterable[list[str]]:
    yield ["checks per second, peak", *(f"{row.checks:,.0f}" for row in rows)]
    yield ["logins per second, peak", *(f"{row.logins:,.0f}" for row in rows)]
    yield ["live sessions, peak", *(f"{row.live:,.0f}" for row in rows)]
    yield ["memory of Redis, GB", *(f"{row.redis_gb:,.1f}" for row in rows)]
    yield ["cores' worth of Redis", *(f"{row.redis_cores:.2f}" for row in rows)]
    yield [f"**Redis primaries** of {NODE_GB} GB", *(f"{row.nodes}" for row in rows)]
    yield ["cores' worth of workers", *(f"{row.worker_cores:,.1f}" for row in rows)]
    yield ["**workers**", *(f"{row.workers:,}" for row in rows)]
    yield [
        "memory of the workers, GB",
        *(f"{row.workers * constants.worker_mb / 1000:,.1f}" for row in rows),
    ]
    yield ["connections to each primary", *(f"{row.redis_connections:,}" for row in rows)]
    yield ["connections to the database", *(f"{row.sql_connections:,}" for row in rows)]
    yield ["calls to WeChat under way", *(f"{row.wechat_in_flight:,.0f}" for row in rows)]
    yield ["reads of the database per second", *(f"{row.logins:,.0f}" for row in rows)]
    yield ["new accounts per second", *(f"{row.sql_writes:,.1f}" for row in rows)]
    yield ["accounts, GB", *(f"{row.sql_gb:,.1f}" for row in rows)]
    yield [
        "logins per second if Redis forgets at 8:30",
        *(f"{row.logins * worst:,.0f}" for row in rows),
    ]


def draw(day: Day, lost: Day, users: int) -> None:
    """A morning, as it is and when Redis forgets."""
    from tests.bench import drawing  # noqa: PLC0415 # not installed where only tests run

    with drawing.figure(PLOT, columns=3, size=(10, 3.2)) as (checks, logins, live):
        until = sum(hour <= 13 for hour in day.hours)
        hours = day.hours[:until]

        def curve(axes: Any, values: list[float], colour: str, label: str) -> None:
            scaled = [value * users for value in values[:until]]
            axes.plot(hours, scaled, color=colour, label=label, linewidth=1.4)

        curve(checks, [rate * CHECKS_AN_OPEN for rate in day.opens], drawing.OURS, "")
        checks.set_title("Checks per second")
        curve(logins, lost.logins, drawing.THIRD, "Redis forgets at 8:30")
        curve(logins, day.logins, drawing.OURS, "an ordinary day")
        logins.set_title("Logins per second")
        curve(live, lost.live, drawing.THIRD, "Redis forgets at 8:30")
        curve(live, day.live, drawing.OURS, "an ordinary day")
        live.set_title("Live sessions")
        for axes in (checks, logins, live):
            axes.set_xlabel("hour of the day")
            axes.set_ylim(bottom=0)
            axes.set_xticks(range(4, 14))
            axes.yaxis.set_major_formatter("{x:,.0f}")
        logins.legend(frameon=False, fontsize=8)


def main() -> None:
    """Write the page's figures and its plot from the last `make growth`."""
    constants = Constants.of(orjson.loads((BUILD / "growth.json").read_bytes()))
    day = live_through(opens_a_day=OPENS_A_DAY)
    lost = live_through(opens_a_day=OPENS_A_DAY, lost_at=LOST_AT)
    insert(PAGE, "capacity", text(constants, day, lost, (1_000_000, 10_000_000, 100_000_000)))
    draw(day, lost, 10_000_000)
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
