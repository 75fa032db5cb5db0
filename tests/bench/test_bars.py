from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.bench import bars
from tests.bench.contestants import (
    ANSWERER,
    BARE,
    EXPRESS,
    EXPRESS_SQL,
    FASTAPI,
    MINIGATE,
    UNCOUNTED,
)
from tests.bench.document import insert, table
from tests.bench.idle import Idle
from tests.bench.job import Outcome
from tests.bench.loads import Load
from tests.bench.rounds import Table, Turn
from tests.bench.spread import Spread

if TYPE_CHECKING:
    from pathlib import Path


_TITLES: Final = {
    "answerer": ANSWERER,
    "bare": BARE,
    "fastapi": FASTAPI,
    "express": EXPRESS,
    "express_sql": EXPRESS_SQL,
    "minigate": MINIGATE,
    "uncounted": UNCOUNTED,
}


def turn(rate: float = 1000, *, cost: float = 100, p99: float = 3, offered: float = 0) -> Turn:
    """A second in which so much was measured."""
    outcome = Outcome(
        came=int(rate),
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


def test_counting_may_cost_a_fiftieth() -> None:
    kept = bars.counting(_table(uncounted=turn(cost=50), minigate=turn(cost=51)))
    missed = bars.counting(_table(uncounted=turn(cost=50), minigate=turn(cost=51.1)))
    assert (kept.kept, missed.kept) == (True, False)


def test_a_promise_is_kept_at_its_bar_and_missed_below() -> None:
    bare = turn(1000, cost=110)
    kept = bars.login(_table(bare=bare, minigate=turn(550, cost=200)))
    missed = bars.login(_table(bare=bare, minigate=turn(549, cost=201)))

    assert [bar.verdict for bar in (*kept, *missed)] == ["pass"] * 2 + ["**miss**"] * 2
    assert [bar.measured for bar in kept] == ["0.55 (0.55 to 0.55)"] * 2


def test_answers_per_second_and_processor_time_are_judged_apart() -> None:
    """A busy machine takes the rate; the time that an answer takes remains."""
    slow = _table(bare=turn(1000, cost=100), minigate=turn(400, cost=150))

    assert [bar.kept for bar in bars.login(slow)] == [False, True]


def test_peers_that_are_not_here_have_no_row() -> None:
    """A machine without Node cannot run Express."""
    measured = _table(
        bare=turn(1000, cost=100), fastapi=turn(100, cost=1000), minigate=turn(1900, cost=50)
    )

    assert [bar.kept for bar in bars.validation(measured)] == [True] * 4


def test_a_login_is_held_against_those_who_keep_accounts_too() -> None:
    """Express as the tutorials have it does less, and is no bar."""
    measured = _table(express=turn(2000), express_sql=turn(900), minigate=turn(1000))

    assert [bar.kept for bar in bars.login(measured)] == [True, True]


def test_few_connections_and_many_have_a_bar_each() -> None:
    costs = {1: 130, 8: 81, 256: 50}
    tables = {
        count: _table(bare=turn(cost=100), minigate=turn(cost=cost))
        for count, cost in costs.items()
    }

    assert [bar.kept for bar in bars.few_and_many(tables)] == [True, False, True]


def _load(**turns: Turn) -> Load:
    return Load(1000, 0.6, MINIGATE, _table(**turns))


def test_latency_at_a_load_has_to_be_below_that_of_every_peer() -> None:
    ours = turn(p99=3)
    below = bars.load(_load(minigate=ours, express=turn(p99=4), fastapi=turn(p99=3.1)))
    above = bars.load(_load(minigate=ours, express=turn(p99=4), fastapi=turn(p99=2.9)))

    assert (below.kept, above.kept) == (True, False)
    assert "Express + node-redis 0.75" in below.measured


def test_who_looks_at_no_session_is_no_peer_at_a_load() -> None:
    assert bars.load(_load(minigate=turn(p99=3), bare=turn(p99=1), answerer=turn(p99=0.1))).kept


def test_who_cannot_keep_up_is_named_and_beaten() -> None:
    """For the short time that it was asked its latency may be anything."""
    ours = turn(p99=3)
    express = bars.load(_load(minigate=ours, express=turn(900, p99=1, offered=1000)))
    ourselves = bars.load(_load(minigate=turn(900, p99=1, offered=1000), express=ours))

    assert express.kept
    assert express.measured.endswith("could not keep up: Express + node-redis")
    assert not ourselves.kept


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
