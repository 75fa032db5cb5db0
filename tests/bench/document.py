"""Puts what was measured into a page, between markers; the words around them are people's."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from tests.bench import machine
from tests.bench.stage import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

DOCS: Final = REPOSITORY / "docs"


def insert(page: Path, marker: str, text: str) -> None:
    """Replace what stands between `<!-- marker -->` and `<!-- /marker -->`."""
    before, opening, rest = page.read_text().partition(f"<!-- {marker} -->\n")
    _, closing, after = rest.partition(f"<!-- /{marker} -->\n")
    if not opening or not closing:
        raise SystemExit(f"{page} has no place for {marker}")
    page.write_text(f"{before}{opening}{text.strip()}\n{closing}{after}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance(command: str) -> str:
    """Where and when the figures below were made, and by what."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    where = ", ".join(
        value if name in {"processor", "kernel"} else f"{name} {value}"
        for name, value in machine.describe().items()
    )
    return f"Written by `{command}` on {today}: {where}."
