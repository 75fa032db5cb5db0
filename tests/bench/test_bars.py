from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench import bars
from tests.bench.contestants import BARE, EXPRESS, FASTAPI, MINIGATE
from tests.bench.document import insert, table
from tests.bench.generator import Outcome
from tests.bench.idle import Idle
from tests.bench.rounds import Table, Turn
from tests.bench.spread import Spread

if TYPE_CHECKING:
    from pathlib import Path


def _turn(rate: float) -> Turn:
    outcome = Outcome(
        answered=int(rate),
        seconds=1,
        p50=1,
        p90=2,
        p99=3,
        slowest=4,
        cpu=0.2,
        bytes_each=300,
        statuses={"200": int(rate)},
        strangers=0,
        broken=0,
    )
    return Turn(outcome, server=1.0, rest={"generator": 0.2}, foreign=0.0)


def _table(**rates: float) -> Table:
    titles = {"bare": BARE, "fastapi": FASTAPI, "express": EXPRESS, "minigate": MINIGATE}
    return Table({titles[name]: [_turn(rate)] * 3 for name, rate in rates.items()})


def test_a_promise_is_kept_at_its_bar_and_missed_below() -> None:
    kept = bars.login(_table(bare=1000, minigate=750))
    missed = bars.login(_table(bare=1000, minigate=749))

    assert (kept.verdict, missed.verdict) == ("pass", "**miss**")
    assert kept.measured == "0.75 (0.75 to 0.75); by processor time 0.75"


def test_peers_that_are_not_here_have_no_row() -> None:
    """A machine without Node cannot run Express."""
    measured = _table(bare=1000, fastapi=100, minigate=900)

    assert [bar.kept for bar in bars.validation(measured, {BARE, FASTAPI, MINIGATE})] == [True] * 2


def test_the_guard_may_take_a_round_trip_and_a_look() -> None:
    def idle(over: float) -> Idle:
        spread = [Spread(value, value, value) for value in (0.1, 0.1 + over, over, 0.05)]
        return Idle(*spread)

    assert bars.idle(idle(0.19)).kept
    assert not bars.idle(idle(0.21)).kept


def test_a_page_keeps_its_words_around_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- one -->\nold\n<!-- /one -->\nafter\n")

    insert(page, "one", table(["a", "b"], [["x", "1"]]))

    assert page.read_text() == (
        "before\n<!-- one -->\n| a | b |\n| --- | ---: |\n| x | 1 |\n<!-- /one -->\nafter\n"
    )
    with pytest.raises(SystemExit):
        insert(page, "two", "nowhere")
