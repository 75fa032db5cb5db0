"""docs/reliability.md: the tables in it, written by `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.document import DOCS, insert, provenance
from tests.faults.bars import BARS, GROUPS
from tests.faults.mutants import MUTANTS, OTHERWISE
from tests.faults.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.faults.bars import Bar
    from tests.faults.mutation import Caught

PAGE: Final = DOCS / "reliability.md"
_MOST_FIGURES: Final = 4


def verdict(bar: Bar, result: Result) -> str:
    """`pass`, `FAIL`, or why neither."""
    if bar.untested:
        return "not tested"
    if result.failed or not (result.passed or result.skipped):
        return "**FAIL**"
    if not result.passed:
        return "not run"
    return "pass"


def holds(results: Mapping[str, Result]) -> bool:
    """Whether every bar is passed, or has a reason."""
    return all(verdict(bar, results.get(bar.id, Result())) != "**FAIL**" for bar in BARS)


def measured(bar: Bar, result: Result) -> str:
    """What there is to say: figures, or how many tests passed."""
    if bar.untested:
        return bar.untested
    if not result.passed and result.skipped:
        return "; ".join(dict.fromkeys(result.skipped))
    figures = list(result.figures)
    if len(figures) > _MOST_FIGURES:
        figures = [*figures[:_MOST_FIGURES], f"and {len(figures) - _MOST_FIGURES} more"]
    cases = f"{result.passed} case{'s' * (result.passed != 1)}"
    if result.failed:
        cases += f", {len(result.failed)} failed"
    return "; ".join([*figures, cases])


def bar_tables(results: Mapping[str, Result]) -> str:
    """A table for each group."""
    seen = {**{mutant.bar: mutant.change for mutant in MUTANTS}, **OTHERWISE}
    parts = []
    for letter, title in GROUPS.items():
        rows = []
        for bar in (one for one in BARS if one.group == letter):
            result = results.get(bar.id, Result())
            change = seen.get(bar.id, "-")
            rows.append(
                [bar.id, bar.holds, bar.bar, measured(bar, result), verdict(bar, result), change]
            )
        head = ["", "what holds", "bar", "measured", "", "fails with"]
        parts.append(f"### {letter}. {title}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def mutant_table(caught: Sequence[Caught]) -> str:
    """What was changed, and which test noticed."""
    rows = [
        [
            one.mutant.bar,
            one.mutant.change,
            f"`{one.mutant.file}`",
            f"`{one.mutant.test.rpartition('::')[2]}`",
            "caught" if one.by_assertion else f"**MISSED**: {one.otherwise}",
            f"{one.seconds:.0f} s",
        ]
        for one in caught
    ]
    return table(["", "change", "in", "test", "", ""], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, all to the left."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def write_bars(results: Mapping[str, Result]) -> None:
    """Into its place."""
    insert(PAGE, "bars", f"{provenance('make faults')}\n\n{bar_tables(results)}")


def write_mutants(caught: Sequence[Caught]) -> None:
    """Into its place."""
    insert(PAGE, "mutants", f"{provenance('make faults MUTANTS=1')}\n\n{mutant_table(caught)}")
