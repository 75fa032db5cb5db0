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


def mutant_table(caught: Sequence[Caught], former: str) -> str:
    """What was changed, and which test noticed; of what was not tried now, the `former` rows."""
    rows = {line.split()[1]: line for line in former.splitlines() if line.startswith("| ")}
    for one in caught:
        verdict = "caught" if one.by_assertion else f"**MISSED**: {one.otherwise}"
        test = one.mutant.test.split()[0].rpartition("::")[2]
        cells = [one.mutant.bar, one.mutant.change, f"`{one.mutant.file}`", f"`{test}`", verdict]
        rows[one.mutant.bar] = _row(cells)
    head = table(["", "change", "in", "noticed by", ""], [])
    return "\n".join([head, *(rows[one.bar] for one in MUTANTS if one.bar in rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, all to the left."""
    return "\n".join(_row(line) for line in [head, ["---"] * len(head), *rows])


def write_bars(results: Mapping[str, Result]) -> None:
    """Into its place."""
    insert(PAGE, "bars", f"{provenance('make faults')}\n\n{bar_tables(results)}")


def write_mutants(caught: Sequence[Caught]) -> None:
    """Into their rows."""
    former = PAGE.read_text().partition("<!-- mutants -->")[2]
    told = mutant_table(caught, former)
    insert(PAGE, "mutants", f"{provenance('make faults MUTANTS=1')}\n\n{told}")
