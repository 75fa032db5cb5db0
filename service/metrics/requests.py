"""Requests that were answered, and those checks among them that take a short way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from service.metrics.registry import REGISTRY
from service.metrics.tally import SECONDS, Tally, Timing, keep

if TYPE_CHECKING:
    from service.metrics.tally import Count

READ: Final = "read"
WRITE: Final = "write"
GOOD: Final = "2xx"
_CHECK: Final = ("/verify", READ, GOOD)


class Requests:
    """How many, and how long they took.

    `short_way` is for checks that were answered the short way: a tally of its own,
    so that nothing has to be looked up for them.
    """

    def __init__(self, checks: Count) -> None:
        """`checks`: where those of the short way count as well."""
        self._answered = Counter(
            "minigate_requests",
            "Requests that were answered: by route, by whether it reads or writes (/verify only"
            " reads, whatever method a gateway asks it with), and by outcome: the class of the"
            " status, or the name of the error; client_gone where the client hung up before.",
            ["route", "method", "outcome"],
            registry=REGISTRY,
        )
        self._took = Timing(
            "minigate_request_duration_seconds",
            "How long answers took, from the end of a request's head until they were sent.",
            ["route", "method"],
        )
        self._checks = checks
        self.short_way: Final = Tally(SECONDS)
        self._tallies: dict[tuple[str, str, str], Tally] = {}
        keep(self)

    def answered(self, route: str, method: str, outcome: str, seconds: float) -> None:
        """Count one. `route`: its pattern; `method`: READ or WRITE."""
        key = (route, method, outcome)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(SECONDS)
        tally.observe(seconds)

    def flush(self) -> None:
        """Hand all of it over."""
        checked = self._flush(_CHECK, self.short_way)
        if checked:
            self._checks.add("ok", by=checked)
            self._checks.flush()
        for key, tally in self._tallies.items():
            self._flush(key, tally)

    def _flush(self, key: tuple[str, str, str], tally: Tally) -> int:
        route, method, outcome = key
        number = self._took.take(tally, route, method)
        if number:
            self._answered.labels(route, method, outcome).inc(number)
        return number
