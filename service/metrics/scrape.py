"""One answer for all workers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from service.metrics.folder import FOLDER, IDENTITY, read_main
from service.metrics.merging import Merging
from service.metrics.registry import REGISTRY
from service.metrics.tally import flush_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import Metric

_MAINS: Final = {
    "workers": "Workers that serve.",
    "workers_wanted": "Workers that there should be: WEB_CONCURRENCY.",
    "start_time_seconds": "When the service was started, in Unix seconds.",
}
_RESTARTS: Final = (
    "Workers that were started in place of another one: died (it ended by itself, or somebody"
    " killed it), hung (it did not answer and was killed), asked (SIGHUP)."
)
_END: Final = b"# EOF\n"
"""Of OpenMetrics."""


def shared_folder() -> Path | None:
    """Where all workers count; None where this process counts for itself."""
    return Path(os.environ[FOLDER]) if IDENTITY in os.environ else None


async def collect() -> Sequence[Metric]:
    """Every series of all workers: this one's up to now, the others' a second ago at most.

    Others are served in between: it takes some milliseconds.
    """
    flush_all()
    folder = shared_folder()
    if folder is None:
        return list(REGISTRY.collect())
    merging = Merging()
    for path in sorted(folder.glob("*.db")):
        merging.add(path)
        await asyncio.sleep(0)
    return [*merging.metrics(), *_of_main(read_main(folder))]


def _of_main(facts: dict[str, object]) -> Iterable[Metric]:
    for name, says in _MAINS.items():
        value = facts.get(name)
        if isinstance(value, int | float):
            yield GaugeMetricFamily(f"minigate_{name}", says, value=value)
    restarts = facts.get("restarts")
    if isinstance(restarts, dict):
        family = CounterMetricFamily("minigate_worker_restarts", _RESTARTS, labels=["reason"])
        for reason, count in restarts.items():
            family.add_metric([reason], count)
        yield family


class _Alone:
    """A family by itself, as an encoder takes it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


async def render(accept: str) -> tuple[bytes, str]:
    """The answer to a scrape, in the form that `accept` asks for, and its content type."""
    encode, content_type = choose_encoder(accept)
    metrics = await collect()
    parts = []
    is_open = "openmetrics" in content_type
    for metric in metrics:
        part = encode(_Alone(metric))
        parts.append(part.removesuffix(_END) if is_open else part)
        await asyncio.sleep(0)
    return b"".join((*parts, _END) if is_open else parts), content_type
