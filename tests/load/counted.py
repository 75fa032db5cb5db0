"""Whether the service has counted what its clients have."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROUTES: Final = {"check": "/verify", "log in": "/login", "own record": "/me", "log out": "/logout"}
"""By what locust calls a request, behind the name of the scenario."""


class Pair(NamedTuple):
    """One route's requests."""

    route: str
    clients: int
    """As locust has counted them."""
    service: int
    """As /metrics has."""

    @property
    def is_equal(self) -> bool:
        """Whether they agree."""
        return self.clients == self.service

    def __str__(self) -> str:
        verdict = "equal" if self.is_equal else "DIFFERENT"
        counts = f"{self.clients:>8,} by locust{self.service:>10,} by /metrics"
        return f"  {self.route:10}{counts}  {verdict}"


def compare(counts: Mapping[str, int], metrics: str) -> list[Pair]:
    """`counts`: by what locust calls a request. `metrics`: the text of a scrape after it."""
    clients, service = _by_clients(counts), _by_service(metrics)
    return [Pair(route, clients[route], service[route]) for route in _ROUTES.values()]


def _by_clients(counts: Mapping[str, int]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for called, count in counts.items():
        what = called.partition(": ")[2]
        for name, route in _ROUTES.items():
            if what.startswith(name):  # "log in to be checked" is one, too
                counted[route] += count
    return counted


def _by_service(metrics: str) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "minigate_requests_total":
                counted[sample.labels["route"]] += int(sample.value)
    return counted
