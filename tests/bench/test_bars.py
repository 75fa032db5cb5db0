from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.bench import bars
from tests.bench.contestants import BARE, EXPRESS, FASTAPI, MINIGATE
from tests.bench.document import insert, table
from tests.bench.idle import Idle
from tests.bench.job import Outcome
from tests.bench.rounds import Table, Turn
from tests.bench.spread import Spread

if TYPE_CHECKING:
    from pathlib import Path


_TITLES: Final = {"bare": BARE, "fastapi": FASTAPI, "express": EXPRESS, "minigate": MINIGATE}


def _turn(rate: float = 1000, *, cost: float = 100, p99: float = 3, offered: float = 0) -> Turn:
    outcome = Outcome(
        answered=int(rate),
        offered=int(offered or rate),
        served=int(rate),
        seconds=1,
        p50=1,
        p90=2,
        p99=p99,
        slowest=4,
        late=0,
        cpu=0.2,
        bytes_each=300,
        statuses={"200": int(rate)},
        strangers=0,
        broken=0,
    )
    return Turn(outcome, cost, server=1.0, rest={"generator": 0.2}, foreign=0.0)


def _table(**turns: Turn) -> Table:
    return Table({_TITLES[name]: [turn] * 3 for name, turn in turns.items()})


def test_a_promise_is_kept_at_its_bar_and_missed_below() -> None:
    bare = _turn(1000, cost=110)
    kept = bars.login(_table(bare=bare, minigate=_turn(550, cost=200)))
    missed = bars.login(_table(bare=bare, minigate=_turn(549, cost=201)))

    assert [bar.verdict for bar in (*kept, *missed)] == ["pass"] * 2 + ["**miss**"] * 2
    assert [bar.measured for bar in kept] == ["0.55 (0.55 to 0.55)"] * 2


def test_answers_per_second_and_processor_time_are_judged_apart() -> None:
    """A busy machine takes the rate; the time that an answer takes remains."""
    slow = _table(bare=_turn(1000, cost=100), minigate=_turn(400, cost=150))

    assert [bar.kept for bar in bars.login(slow)] == [False, True]


def test_peers_that_are_not_here_have_no_row() -> None:
    """A machine without Node cannot run Express."""
    measured = _table(
        bare=_turn(1000, cost=100), fastapi=_turn(100, cost=1000), minigate=_turn(1900, cost=50)
    )

    assert [bar.kept for bar in bars.validation(measured)] == [True] * 4


def test_the_guard_may_take_a_round_trip_and_a_look() -> None:
    def idle(over: float) -> Idle:
        spread = [Spread(value, value, value) for value in (0.1, 0.1 + over, over, 0.05)]
        return Idle(*spread)

    assert bars.idle(idle(0.079)).kept
    assert not bars.idle(idle(0.081)).kept


def test_a_page_keeps_its_words_around_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- one -->\nold\n<!-- /one -->\nafter\n")

    insert(page, "one", table(["a", "b"], [["x", "1"]]))

    assert page.read_text() == (
        "before\n<!-- one -->\n| a | b |\n| --- | ---: |\n| x | 1 |\n<!-- /one -->\nafter\n"
    )
    with pytest.raises(SystemExit):
        insert(page, "two", "nowhere")
