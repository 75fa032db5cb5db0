"""The tables and the plot of `make bench`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench import drawing
from tests.bench.contestants import MINIGATE
from tests.bench.document import DOCS, insert, provenance, table

if TYPE_CHECKING:
    from tests.bench.bars import Bar
    from tests.bench.rounds import Table

PAGE: Final = DOCS / "performance.md"
PLOT: Final = DOCS / "img" / "bench.svg"
_VALIDATE: Final = "Validate a session"
_LOGIN: Final = "Log in"
_QUIET: Final = 0.05


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was measured."""

    validate: Table
    login: Table
    bars: list[Bar]


def text(found: Findings) -> str:
    """Everything in Markdown."""
    promises = table(
        ["what", "promised", "measured", ""],
        ([bar.what, bar.promised, bar.measured, bar.verdict] for bar in found.bars),
    )
    parts = [
        promises,
        _disturbance(found),
        f"**{_VALIDATE}**: `GET /verify` over 64 kept-alive connections, 1,000 live sessions.",
        _standings(found.validate),
        f"**{_LOGIN}**: `POST /login` of known users over 64 connections, a fresh code each.",
        _standings(found.login),
    ]
    return "\n\n".join(parts)


def _disturbance(found: Findings) -> str:
    """How far the machine had other work to do, which no pinning keeps away."""
    shares = {_VALIDATE: found.validate.foreign(), _LOGIN: found.login.foreign()}
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
    with drawing.figure(PLOT, columns=2, size=(10, 3.4)) as axes:
        for one, title, measured in zip(
            axes, (_VALIDATE, _LOGIN), (found.validate, found.login), strict=True
        ):
            rates = {name: each.rate for name, each in measured.standings().items()}
            drawing.ranking(one, title, rates, ours=MINIGATE, unit="answers per second, one core")


def _standings(measured: Table) -> str:
    rows = []
    for title, each in measured.standings().items():
        rest = ", ".join(
            f"{name} {share:.0%}" for name, share in each.rest.items() if share >= 0.01
        )
        rows.append(
            [
                f"**{title}**" if title == MINIGATE else title,
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
    head = ["server", "answers/s", "MiniGate does", "server µs each", "MiniGate, by that"]
    return table([*head, "p50 ms", "p99 ms", "bytes each", "busy"], rows)
