"""The tables of a decision in docs/adr/, for tests that play them."""

from __future__ import annotations

from pathlib import Path

_ADR = Path(__file__).parents[2] / "docs" / "adr"


def table_of(name: str, first_column: str) -> list[dict[str, str]]:
    """The rows, by column, of the table in ADR `name` whose first column is called so."""
    lines = next(_ADR.glob(f"{name}-*.md")).read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.split("|")[1:-1]])
    header, _, *body = rows
    return [dict(zip(header, row, strict=True)) for row in body]
