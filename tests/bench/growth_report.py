"""The table and the plots of `make growth`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench import drawing
from tests.bench.document import DOCS, insert, provenance, table

if TYPE_CHECKING:
    from tests.bench.spread import Spread

PAGE: Final = DOCS / "performance.md"
_SESSIONS_PLOT: Final = DOCS / "img" / "growth-sessions.svg"
_WORKERS_PLOT: Final = DOCS / "img" / "growth-workers.svg"


@dataclass(frozen=True, slots=True)
class Size:
    """A Redis with so many sessions."""

    sessions: int
    bytes_each: float
    plain_bytes_each: float | None
    """Two keys, nothing sealed."""
    p50: Spread
    p99: Spread


@dataclass(frozen=True, slots=True)
class Workers:
    """So many workers, per second."""

    workers: int
    checks: Spread
    logins: Spread


@dataclass(frozen=True, slots=True)
class Connections:
    """What so many workers hold open."""

    workers: int
    redis_after_checks: int
    redis_after_logins: int
    wechat: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of a core per request, and sizes."""

    check_us: float
    check_redis_us: float
    login_us: float
    login_redis_us: float
    marker_bytes: float
    worker_mb: float


@dataclass(frozen=True, slots=True)
class Growth:
    """All that was measured."""

    sizes: list[Size]
    workers: list[Workers]
    connections: list[Connections]
    cost: Cost


def text(growth: Growth) -> str:
    """Everything in Markdown."""
    cost = growth.cost
    sizes = [
        [
            f"{one.sessions:,}",
            f"{one.bytes_each:.0f}",
            f"{one.plain_bytes_each:.0f}" if one.plain_bytes_each else "-",
            one.p50.text(),
            one.p99.text(),
        ]
        for one in growth.sizes
    ]
    workers = [[f"{one.workers}", one.checks.text(0), one.logins.text(0)] for one in growth.workers]
    connections = [
        [
            f"{one.workers}",
            f"{one.redis_after_checks}",
            f"{one.redis_after_logins}",
            f"{one.wechat}",
        ]
        for one in growth.connections
    ]
    costs = [
        ["one check", f"{cost.check_us:.0f}", f"{cost.check_redis_us:.1f}"],
        ["one login of a known user", f"{cost.login_us:.0f}", f"{cost.login_redis_us:.1f}"],
    ]
    head = ["sessions", "bytes each", "in two plain keys", "p50 of a check, ms", "p99, ms"]
    memory = f"The note of a used code takes {cost.marker_bytes:.0f} bytes for five minutes."
    return "\n\n".join(
        [
            table(head, sizes),
            table(["microseconds of processor time", "worker", "Redis"], costs),
            f"{memory} A worker takes {cost.worker_mb:.0f} MB (RSS).",
            table(["workers", "checks/s", "logins/s"], workers),
            table(
                ["workers", "to Redis after checks", "after logins as well", "to WeChat"],
                connections,
            ),
        ]
    )


def write(growth: Growth) -> None:
    """Put it into the page, and draw it."""
    insert(PAGE, "growth", f"{provenance('make growth')}\n\n{text(growth)}")
    _draw_sessions(growth.sizes)
    _draw_workers(growth)


def _draw_sessions(sizes: list[Size]) -> None:
    counts = [one.sessions for one in sizes]
    with drawing.figure(_SESSIONS_PLOT, columns=2, size=(10, 3.2)) as (weight, latency):
        ours = [one.bytes_each for one in sizes]
        drawing.line(weight, counts, ours, label="MiniGate: one key, sealed", colour=drawing.OURS)
        plain = [(one.sessions, one.plain_bytes_each) for one in sizes if one.plain_bytes_each]
        drawing.line(
            weight,
            [count for count, _ in plain],
            [each for _, each in plain],
            label="two plain keys",
            colour=drawing.OTHERS,
        )
        weight.set_title("Memory of Redis per session")
        weight.set_ylabel("bytes")
        drawing.spreads(
            latency, counts, [one.p50 for one in sizes], label="p50", colour=drawing.OURS
        )
        drawing.spreads(
            latency, counts, [one.p99 for one in sizes], label="p99", colour=drawing.THIRD
        )
        latency.set_title("A check, 64 connections")
        latency.set_ylabel("ms")
        for axes in (weight, latency):
            axes.set_xscale("log")
            axes.set_xlabel("sessions")
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False)


def _draw_workers(growth: Growth) -> None:
    with drawing.figure(_WORKERS_PLOT, columns=3, size=(10, 3.2)) as (checks, logins, links):
        counts = [one.workers for one in growth.workers]
        drawing.spreads(
            checks, counts, [one.checks for one in growth.workers], label="", colour=drawing.OURS
        )
        checks.set_title("Checks per second")
        drawing.spreads(
            logins, counts, [one.logins for one in growth.workers], label="", colour=drawing.OURS
        )
        logins.set_title("Logins per second")
        held = {
            "to Redis, checks only": [one.redis_after_checks for one in growth.connections],
            "to Redis, logins too": [one.redis_after_logins for one in growth.connections],
            "to WeChat": [one.wechat for one in growth.connections],
        }
        colours = (drawing.OTHERS, drawing.OURS, drawing.THIRD)
        for (label, values), colour in zip(held.items(), colours, strict=True):
            workers = [one.workers for one in growth.connections]
            drawing.line(links, workers, values, label=label, colour=colour)
        links.set_title("Connections held")
        links.legend(frameon=False, fontsize=8)
        for axes in (checks, logins, links):
            axes.set_xlabel("workers")
            axes.set_ylim(bottom=0)
            axes.xaxis.get_major_locator().set_params(integer=True)
        links.set_ylim(top=links.get_ylim()[1] * 1.35)  # the legend stands there
        for axes in (checks, logins, links):
            axes.yaxis.set_major_formatter("{x:,.0f}")
