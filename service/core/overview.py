"""What operators are shown of outages, and who can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutageReport(Protocol):
    """Something was away for a while."""

    @property
    def what(self) -> str:
        """Its name."""
        ...

    @property
    def since(self) -> int:
        """Unix milliseconds."""
        ...

    @property
    def until(self) -> int | None:
        """The same; None while it lasts."""
        ...

    @property
    def why(self) -> str:
        """What failed, and why; no secret."""
        ...

    @property
    def failures(self) -> int:
        """How many were noticed."""
        ...


class OutageReports(Protocol):
    """Those that this worker has noticed."""

    def recent(self) -> Sequence[OutageReport]:
        """The newest first."""
        ...
