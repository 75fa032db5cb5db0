"""What a run found of each bar, collected while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass
class Result:
    """What the tests of one bar came to."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Why, for each."""
    figures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether something was tried, and all of it came out well."""
        return self.passed > 0 and not self.failed


class Results:
    """A plugin of pytest that keeps what reports say of bars, and says how far it is.

    With xdist the reports come from other processes; it lives in the one that
    started these. One object serves for several runs.
    """

    def __init__(self, wanted: Collection[str] = ()) -> None:
        """`wanted`: the bars to which a run in this process is confined, if it is."""
        self._wanted = set(wanted)
        self.bars: dict[str, Result] = {}
        self.failures: dict[str, str] = {}
        """By test: what it says."""
        self.tests = 0
        self._began = time.monotonic()
        self._total = 0
        self._done: dict[str, str] = {}
        """The outcome so far of each test that is under way, of its set-up, run or tear-down."""

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out what is not wanted."""
        if self._wanted:
            out = [item for item in items if not self._wanted & _bars_of(item)]
            config.hook.pytest_deselected(items=out)
            items[:] = [item for item in items if self._wanted & _bars_of(item)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count them, where they run in this process."""
        self._total = self.tests + len(session.items) or self._total

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:  # noqa: ARG002 # xdist's
        """Count them, where others run them: each of those has found them all."""
        self._total = self.tests + len(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read is a failure."""
        if report.failed:
            self._failed(report.nodeid, report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One of three for each test: its set-up, itself, its tear-down."""
        bars = [self.bars.setdefault(name, Result()) for name in _said(report, "bar")]
        for bar in bars:
            bar.seconds += report.duration
        outcome = self._done.get(report.nodeid, "passed")
        if report.failed:
            outcome = "FAILED"
            self._failed(report.nodeid, report)
            for bar in bars:
                if report.nodeid not in bar.failed:
                    bar.failed.append(report.nodeid)
        elif report.skipped and outcome == "passed":
            outcome = "skipped"
            for bar in bars:
                bar.skipped.append(_reason(report))
        self._done[report.nodeid] = outcome
        if report.when == "teardown":
            self._finished(report, bars, self._done.pop(report.nodeid))

    def _failed(self, name: str, report: pytest.TestReport | pytest.CollectReport) -> None:
        self.failures[name] = report.longreprtext
        print(f"\n{report.longreprtext}\n", flush=True)

    def _finished(self, report: pytest.TestReport, bars: list[Result], outcome: str) -> None:
        self.tests += 1
        figures = _said(report, "figure")
        for bar in bars:
            bar.passed += outcome == "passed"
            bar.figures += [one for one in figures if one not in bar.figures]
        elapsed = int(time.monotonic() - self._began)
        of = ",".join(_said(report, "bar")) or "-"
        name = report.nodeid.partition("::")[2]
        so_far = f"{elapsed // 60:3}:{elapsed % 60:02} {self.tests:5} of {self._total}"
        print(f"{so_far}  {of:8} {outcome:8} {name}", flush=True)
        for figure in figures:
            print(f"{'':27} {figure}", flush=True)


def _bars_of(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("bar") for name in mark.args}


def _said(report: pytest.TestReport, what: str) -> list[str]:
    return [str(value) for name, value in report.user_properties if name == what]


def _reason(report: pytest.TestReport) -> str:
    """Why it was skipped, in the words of its mark."""
    where = report.longrepr
    return str(where[2]).removeprefix("Skipped: ") if isinstance(where, tuple) else ""
