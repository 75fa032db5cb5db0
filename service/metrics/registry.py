"""Where the series of this process are kept: in memory, or in files that all workers share."""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, disable_created_metrics, values

from service.metrics.folder import IDENTITY

if IDENTITY in os.environ:
    # Not by process ids: whoever follows a worker goes on in its files.
    values.ValueClass = values.MultiProcessValue(lambda: os.environ[IDENTITY])  # type: ignore[no-untyped-call]
else:  # also where the variable of prometheus_client is set for something else
    values.ValueClass = values.MutexValue
disable_created_metrics()  # type: ignore[no-untyped-call] # files do not have them, either

REGISTRY: Final = CollectorRegistry(auto_describe=False)
"""Of this process alone: what all of them count, service/metrics/scrape.py gathers."""
