"""The tables of docs/outages.md are whole, and the tests that they lean on are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "outages.md").read_text()
TABLES = re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)
NAMED = re.findall(r"`(\w+/test_\w+\.py)`", TEXT)


def test_there_are_tables_and_each_is_followed_by_its_tests() -> None:
    assert len(TABLES) > 4
    assert TEXT.count("\nTests, below `tests/`: ") == len(TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.splitlines()[2][:40])
def test_each_row_has_every_column(table: str) -> None:
    assert len({line.count(" |") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_is_named_is_there(name: str) -> None:
    assert (ROOT / "tests" / name).is_file()


def test_the_readmes_lead_there() -> None:
    for readme in ("README.md", "README.zh-CN.md"):
        assert "[docs/outages.md](docs/outages.md)" in (ROOT / readme).read_text()
