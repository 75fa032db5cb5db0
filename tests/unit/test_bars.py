"""Each bar has a test, or says why not; and something small that breaks it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.faults.bars import BARS, GROUPS, Bar
from tests.faults.mutants import MUTANTS, OTHERWISE, Mutant

ROOT: Final = Path(__file__).parents[2]
IDS: Final = [bar.id for bar in BARS]


def marked() -> dict[str, list[str]]:
    """The tests of each bar that a mark names."""
    found: dict[str, list[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text()
        marks = re.finditer(
            r"^@pytest\.mark\.bar\(([^)]*)\)\n"
            r"(?:(?!(?:async )?def ).*\n)*(?:async )?def (test_\w+)",
            text,
            re.MULTILINE,
        )
        names = file.relative_to(ROOT)
        for mark in marks:
            for name in re.findall(r'"(\w+)"', mark[1]):
                found.setdefault(name, []).append(f"{names}::{mark[2]}")
    return found


MARKED: Final = marked()


def test_the_bars_are_numbered_without_a_gap() -> None:
    assert len(IDS) == len(set(IDS))
    for group in GROUPS:
        mine = [bar.id for bar in BARS if bar.group == group]
        assert mine == [f"{group}{number}" for number in range(1, len(mine) + 1)]


@pytest.mark.parametrize("bar", BARS, ids=IDS)
def test_a_bar_has_a_test_or_says_why_not(bar: Bar) -> None:
    assert bool(MARKED.get(bar.id)) != bool(bar.untested)


def test_no_mark_names_a_bar_that_is_none() -> None:
    assert set(MARKED) <= set(IDS)


def test_each_bar_has_a_mutant_or_was_seen_to_fail_otherwise() -> None:
    ours = [mutant.bar for mutant in MUTANTS]
    tested = [bar.id for bar in BARS if not bar.untested]
    assert sorted(ours + list(OTHERWISE)) == sorted(tested)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bar)
def test_a_mutant_has_one_place_and_a_test_of_its_bar(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert mutant.apply(text) != text
    named = [one.partition("[")[0] for one in mutant.test.split()]
    files = {one.partition("::")[0] for one in named}
    assert all((ROOT / file).is_file() for file in files)
    assert any(test in named or test.partition("::")[0] in named for test in MARKED[mutant.bar])


def test_the_page_has_a_place_for_what_was_measured() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    for marker in ("<!-- bars -->", "<!-- /bars -->", "<!-- mutants -->", "<!-- /mutants -->"):
        assert page.count(marker) == 1
