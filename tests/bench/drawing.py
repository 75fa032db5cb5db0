"""The plots, as SVG that changes only where the figures do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from tests.bench.spread import Spread

OURS: Final = "#07873f"
OTHERS: Final = "#7d8b9d"
LESS: Final = "#d3dae2"
THIRD: Final = "#c2571a"
_STYLE: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "minigate",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


@contextmanager
def figure(path: Path, *, columns: int, size: tuple[float, float]) -> Iterator[Sequence[Any]]:
    """Axes in a row; saved to `path` in the end."""
    with plt.rc_context(_STYLE):
        drawing, axes = plt.subplots(1, columns, figsize=size, layout="constrained", squeeze=False)
        yield list(axes[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, metadata={"Date": None})
        plt.close(drawing)
    # Matplotlib leaves blanks at the ends of lines.
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))


@dataclass(frozen=True, slots=True)
class Kind:
    """Bars of one colour."""

    names: Collection[str]
    colour: str
    label: str


def ranking(axes: Any, title: str, rates: dict[str, Spread], kinds: Sequence[Kind]) -> None:
    """Bars from fastest to slowest, the spread as a whisker, the median in figures."""
    ordered = sorted(rates, key=lambda name: rates[name].median)
    for kind in kinds:
        rows = [row for row, name in enumerate(ordered) if name in kind.names]
        found = [rates[ordered[row]] for row in rows]
        axes.barh(
            rows,
            [rate.median for rate in found],
            xerr=_whiskers(found),
            color=kind.colour,
            label=kind.label,
            ecolor="#3b4754",
            capsize=2,
        )
    furthest = max(rate.high for rate in rates.values())
    for row, name in enumerate(ordered):
        rate = rates[name]
        axes.text(rate.high + furthest * 0.02, row, f"{rate.median:,.0f}", va="center")
    axes.set_yticks(range(len(ordered)), ordered)
    axes.set_xlim(0, furthest * 1.18)
    axes.set_title(title)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.xaxis.set_major_formatter("{x:,.0f}")


def line(axes: Any, x: Sequence[float], y: Sequence[float], *, label: str, colour: str) -> None:
    """Points joined by a line."""
    axes.plot(x, y, marker="o", markersize=4, color=colour, label=label)


def spreads(axes: Any, x: Sequence[float], y: Sequence[Spread], *, label: str, colour: str) -> None:
    """Medians joined by a line, their spread as whiskers."""
    medians = [one.median for one in y]
    axes.errorbar(
        x,
        medians,
        yerr=_whiskers(y),
        marker="o",
        markersize=4,
        capsize=3,
        color=colour,
        label=label,
    )


def _whiskers(found: Sequence[Spread]) -> list[list[float]]:
    return [
        [one.median - one.low for one in found],
        [one.high - one.median for one in found],
    ]
