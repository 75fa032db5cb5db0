"""What all workers have counted, added up from their files.

As `MultiProcessCollector` of prometheus_client does it, which keeps the event loop for 45 ms where
there are four workers: it reads each series' name as JSON, each time. Here names are remembered,
and the loop may turn after each file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class _Series(NamedTuple):
    """What a file calls a value by."""

    family: str
    name: str
    says: str
    labels: dict[str, str]
    bound: float | None
    """Of a bucket."""
    group: tuple[tuple[str, str], ...]
    """The labels but for that."""

    @classmethod
    def read(cls, key: str) -> _Series:
        family, name, labels, says = json.loads(key)
        bound = labels.pop("le", None)
        group = tuple(labels.items())
        return cls(family, name, says, labels, None if bound is None else float(bound), group)


_known: Final[dict[str, _Series]] = {}
"""By their names in files; there are as many as there are series."""


class Merging:
    """Adds files up, one after the other."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
        """By kind of file, and by series: value and, of a gauge, when it was set."""

    def add(self, path: Path) -> None:
        """Add one file."""
        kind = path.name.rpartition("_")[0]
        values = self._values[kind]
        try:
            found = MmapedDict.read_all_values_from_file(path)  # type: ignore[no-untyped-call]
        except FileNotFoundError:  # of a worker that has just ended
            return
        is_greatest, is_latest = kind.endswith("max"), kind.endswith("mostrecent")
        for key, value, at, _ in found:
            before = values.get(key)
            if before is None:
                values[key] = value, at
            elif is_latest:
                values[key] = max(before, (value, at), key=lambda one: one[1])
            elif is_greatest:
                values[key] = max(before[0], value), 0.0
            else:
                values[key] = before[0] + value, 0.0

    def metrics(self) -> Iterable[Metric]:
        """All of them, by family."""
        families: dict[str, Metric] = {}
        buckets: dict[tuple[str, str, tuple[tuple[str, str], ...]], dict[float, float]]
        buckets = defaultdict(dict)
        for kind, values in self._values.items():
            for key, (value, _) in values.items():
                one = _known.get(key)
                if one is None:
                    one = _known[key] = _Series.read(key)
                if one.family not in families:
                    families[one.family] = Metric(one.family, one.says, kind.partition("_")[0])
                if one.bound is None:
                    families[one.family].add_sample(one.name, one.labels, value)
                else:
                    buckets[one.family, one.name, one.group][one.bound] = value
        for (family, name, group), counts in buckets.items():
            _add_buckets(families[family], name, dict(group), counts)
        return families.values()


def _add_buckets(
    metric: Metric, name: str, labels: dict[str, str], counts: dict[float, float]
) -> None:
    """Each bucket counts those below it as well; all of them together are the count."""
    bounds = sorted(counts)
    running = list(accumulate(counts[bound] for bound in bounds))
    for bound, count in zip(bounds, running, strict=True):
        written = floatToGoString(bound)  # type: ignore[no-untyped-call]
        metric.add_sample(name, {**labels, "le": written}, count)
    metric.add_sample(f"{metric.name}_count", labels, running[-1])
