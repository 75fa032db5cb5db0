from __future__ import annotations

from tests.bench import report
from tests.bench.bars import Bar
from tests.bench.contestants import BARE, EXPRESS, MINIGATE
from tests.bench.loads import Load
from tests.bench.rounds import Table
from tests.bench.test_bars import turn


def _table() -> Table:
    return Table(
        {
            BARE: [turn(1000, cost=100), turn(500, cost=110)],
            EXPRESS: [turn(500, cost=200, p99=9, offered=800)] * 2,
            MINIGATE: [turn(900, cost=50), turn(1000, cost=44)],
        }
    )


def test_ratios_are_those_of_the_rounds() -> None:
    """A machine twice as slow in one round has changed what each did, and that is not hidden."""
    lines = report.text(report.Findings(validate=_table())).splitlines()

    bare = next(line for line in lines if line.startswith(f"| {BARE} "))
    assert "| 750 (500 to 1,000) | 1.45 (0.90 to 2.00) | 105 (100 to 110) | 2.25" in bare
    assert any(line.startswith(f"| **{MINIGATE}** | 950 (900 to 1,000) | 1 |") for line in lines)


def test_who_is_behind_has_a_rate_and_no_latency() -> None:
    loads = [Load(800, 0.2, BARE, _table())]

    text = report.text(report.Findings(loads=loads))

    assert "| server | 800/s (20% of bare Sanic) |" in text
    assert f"| {EXPRESS} | behind: 500/s |" in text
    assert f"| **{MINIGATE}** | 3.00 (3.00 to 3.00) |" in text


def test_what_was_not_measured_is_not_told() -> None:
    text = report.text(report.Findings(bars=[Bar("speed", "some", "none", kept=False)]))

    assert text.splitlines()[2:] == ["| speed | some | none | **miss** |"]
