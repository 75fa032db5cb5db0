"""The tables and the plot of `make bench`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.bench.contestants import BARE, MINIGATE, WITH_ACCOUNTS
from tests.bench.document import DOCS, insert, provenance, table

if TYPE_CHECKING:
    from tests.bench.bars import Bar
    from tests.bench.loads import Load
    from tests.bench.rounds import Standing, Table

PAGE: Final = DOCS / "performance.md"
PLOT: Final = DOCS / "img" / "bench.svg"
_VALIDATE: Final = "Validate a session"
_LOGIN: Final = "Log in"
_QUIET: Final = 0.05
_EQUAL_LOAD: Final = (
    "**At equal load**: the 99th percentile of `GET /verify` in ms, where requests come at planned "
    "moments and latency counts from these. *Behind*: so many answers "
    "came, and latency would grow for as long as the load lasts."
)


@dataclass(slots=True)
class Findings:
    """All that was measured; what was not asked for is missing."""

    validate: Table | None = None
    loads: list[Load] = field(default_factory=list)
    login: Table | None = None
    bars: list[Bar] = field(default_factory=list)


def text(found: Findings) -> str:
    """Everything in Markdown."""
    parts = [
        table(
            ["what", "promised", "measured", ""],
            ([bar.what, bar.promised, bar.measured, bar.verdict] for bar in found.bars),
        )
    ]
    if measured := _tables(found):
        parts.append(_disturbance(measured))
    if found.validate:
        what = "`GET /verify` over 64 kept-alive connections, 1,000 live sessions."
        parts += [f"**{_VALIDATE}**: {what}", _standings(found.validate)]
    if found.loads:
        parts += [_EQUAL_LOAD, _latencies(found.loads)]
    if found.login:
        what = "`POST /login` of known users over 64 connections, a fresh code each."
        parts += [f"**{_LOGIN}**: {what}", _standings(found.login)]
    return "\n\n".join(parts)


def _tables(found: Findings) -> dict[str, Table]:
    both = {_VALIDATE: found.validate, _LOGIN: found.login}
    return {title: measured for title, measured in both.items() if measured}


def _disturbance(measured: dict[str, Table]) -> str:
    """How far the machine had other work to do, which no pinning keeps away."""
    shares = {title: one.foreign() for title, one in measured.items()}
    told = "; ".join(
        f"{title.lower()}: {share.median:.0%} (at worst {share.high:.0%})"
        for title, share in shares.items()
    )
    disturbed = any(share.median > _QUIET for share in shares.values())
    advice = " **Measure again on a quiet machine**; trust the processor time." if disturbed else ""
    return f"Other work took this share of the server's core (median turn): {told}.{advice}"


def write(found: Findings) -> None:
    """Put it into the page, and draw it."""
    insert(PAGE, "bench", f"{provenance('make bench')}\n\n{text(found)}")
    if found.validate and found.login:
        draw(found.validate, found.login)


def draw(validate: Table, login: Table) -> None:
    """A ranking for each task: ours, who does the same, who does less."""
    from tests.bench import drawing  # noqa: PLC0415 # not installed where only tests run

    tasks = (
        (_VALIDATE, validate, set(validate.standings()) - {MINIGATE, BARE}, "checks nothing"),
        (_LOGIN, login, WITH_ACCOUNTS, "without accounts"),
    )
    with drawing.figure(PLOT, columns=2, size=(11, 4)) as axes:
        for one, (title, measured, same, less) in zip(axes, tasks, strict=True):
            rates = {name: each.rate for name, each in measured.standings().items()}
            kinds = [
                drawing.Kind({MINIGATE}, drawing.OURS, MINIGATE),
                drawing.Kind(same, drawing.OTHERS, "the same work"),
                drawing.Kind(set(rates) - {MINIGATE} - same, drawing.LESS, less),
            ]
            drawing.ranking(one, f"{title}: answers per second", rates, kinds)


def _latencies(found: list[Load]) -> str:
    """The 99th percentile of each, by offered load."""
    standings = [load.table.standings() for load in found]
    rows = [
        [_strong(title), *(_latency(each[title]) for each in standings)] for title in standings[0]
    ]
    late = [f"{each[MINIGATE].late.median:.2f}" for each in standings]
    head = [f"{load.rate:,.0f}/s ({load.share:.0%} of {load.of})" for load in found]
    return table(["server", *head], [*rows, ["*the generator's own lateness*", *late]])


def _latency(each: Standing) -> str:
    return each.p99.text() if each.kept_up else f"behind: {each.rate.median:,.0f}/s"


def _strong(title: str) -> str:
    return f"**{title}**" if title == MINIGATE else title


def _standings(measured: Table) -> str:
    rows = []
    for title, each in measured.standings().items():
        rest = ", ".join(
            f"{name} {share:.0%}" for name, share in each.rest.items() if share >= 0.01
        )
        rows.append(
            [
                _strong(title),
                each.rate.text(0),
                "1" if title == MINIGATE else measured.ratio(MINIGATE, title).text(),
                each.cost.text(0),
                "1" if title == MINIGATE else measured.ratio(title, MINIGATE, of="cost").text(),
                f"{each.p50.median:.1f}",
                f"{each.p99.median:.1f}",
                f"{each.bytes_each:.0f}",
                f"server {each.server:.0%}, {rest}",
            ]
        )
    head = ["server", "answers/s", "MiniGate against it", "server µs each", "MiniGate against it"]
    return table([*head, "p50 ms", "p99 ms", "bytes each", "busy"], rows)
