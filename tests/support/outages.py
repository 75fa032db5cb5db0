"""Outages, as they would be reported."""

from __future__ import annotations

from typing import NamedTuple


class Reported(NamedTuple):
    what: str
    since: int
    until: int | None
    why: str = "timed out"
    failures: int = 3


class ReportedOutages:
    """The OutageReports port."""

    def __init__(self, *reports: Reported) -> None:
        self.reports = reports

    def recent(self) -> tuple[Reported, ...]:
        return self.reports
