"""Every promise of SECURITY.md has a test, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
PROMISES = TEXT.partition("\n## Promises")[2].partition("\n## ")[0]
ROWS = [
    line.strip("| ").split(" | ")
    for line in PROMISES.splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
]
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PROMISES)


def test_there_are_promises() -> None:
    assert len(ROWS) > 20
    assert all(len(row) == 2 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_promise_names_a_test(row: list[str]) -> None:
    named = row[1].split(", ")
    assert all(re.fullmatch(r"`[\w/]+/test_\w+\.py::test_\w+`", one) for one in named), row[1]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part)
def test_each_test_that_is_named_is_there(file: str, name: str) -> None:
    source = (ROOT / "tests" / file).read_text()
    assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE)


def test_it_says_how_to_report_and_makes_up_no_address() -> None:
    assert "Report a vulnerability" in TEXT
    assert not re.search(r"[\w.]+@[\w.]+", TEXT)


def test_the_readmes_lead_there() -> None:
    for readme in ("README.md", "README.zh-CN.md"):
        assert "[SECURITY.md](SECURITY.md)" in (ROOT / readme).read_text()
