"""The last hour in figures, for the overview of operators."""

from __future__ import annotations

import logging
import mmap
import os
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from service.metrics.scrape import collect, shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from prometheus_client import Metric

log = logging.getLogger(__name__)

STEP_SECONDS: Final = 10
_ROWS: Final = 360
"""An hour."""
_FILE: Final = "history"

_CHECKS: Final = {
    "refusedMissing": "session_missing",
    "refusedReplaced": "session_replaced",
    "refusedExpired": "session_expired",
    "refusedKicked": "session_kicked",
    "refusedBanned": "user_banned",
    "refusedMalformed": "session_malformed",
}
_UNAVAILABLE: Final = "session_store_unavailable"
_WELL: Final = frozenset({"ok", "refused", "cancelled"})
COLUMNS: Final = (
    *("at", "checksOk", "checksRefused", *_CHECKS, "unavailable"),
    *("loginsOk", "loginsRefused", "loginsShared", "replaced"),
    *("wechatCalls", "wechatSeconds", "wechatFailures"),
    *("redisCalls", "redisSeconds", "redisFailures"),
    *("sqlCalls", "sqlSeconds", "sqlFailures"),
)
_ROW: Final = struct.Struct(f"<{len(COLUMNS)}d")
_SIZE: Final = _ROWS * _ROW.size


class Figures:
    """Totals of all workers, one row for each ten seconds of the last hour.

    The rows are in a file that all workers share, so a worker that is replaced takes none along,
    and whoever comes first to a step writes the row for all. Where there is no folder to share
    they are in memory.
    """

    def __init__(self) -> None:
        folder = shared_folder()
        self._rows = _shared_rows(folder) if folder else mmap.mmap(-1, _SIZE)

    @property
    def is_due(self) -> bool:
        """Whether nobody has written the row of this step."""
        at, place = _now()
        return bool(_ROW.unpack_from(self._rows, place)[0] != at)

    async def note(self) -> None:
        """Write it."""
        at, place = _now()
        totals = totals_of(await collect())
        row = _ROW.pack(at, *(totals[name] for name in COLUMNS[1:]))
        self._rows[place : place + _ROW.size] = row

    def history(self) -> dict[str, Any]:
        """`step` in seconds, `columns` by name, `rows` from the oldest to the newest.

        `at` is in Unix milliseconds, durations in seconds; all but `at` are totals since the
        service was started.
        """
        now = time.time() * 1000
        oldest = now - _ROWS * STEP_SECONDS * 1000
        rows = sorted(row for row in _ROW.iter_unpack(self._rows[:]) if oldest < row[0] <= now)
        return {
            "step": STEP_SECONDS,
            "columns": list(COLUMNS),
            "rows": [[_plain(one) for one in row] for row in rows],
        }

    def close(self) -> None:
        """Let go of them."""
        self._rows.close()


def _shared_rows(folder: Path) -> mmap.mmap:
    """Those in the file; in memory where there is no room for it."""
    try:
        with (folder / _FILE).open("a+b") as file:
            if file.seek(0, os.SEEK_END) < _SIZE:
                # Written, so that there is room for them: see `join`. Another one may do so as
                # well, behind it: what is too much is not looked at.
                file.write(bytes(_SIZE))
                file.flush()
            return mmap.mmap(file.fileno(), _SIZE)
    except (OSError, ValueError) as fault:
        log.warning("metrics: no room for the last hour: %s", fault)
        return mmap.mmap(-1, _SIZE)


def _now() -> tuple[int, int]:
    """When this step began, in Unix milliseconds, and where its row is."""
    step = int(time.time()) // STEP_SECONDS
    return step * STEP_SECONDS * 1000, step % _ROWS * _ROW.size


def totals_of(metrics: Iterable[Metric]) -> Mapping[str, float]:
    """Each column but `at`, from all series."""
    totals: Counter[str] = Counter()
    for metric in metrics:
        for sample in metric.samples:
            for column in _columns_of(sample.name.removeprefix("minigate_"), sample.labels):
                totals[column] += sample.value  # type: ignore[assignment] # a Counter of floats
    return totals


def _columns_of(name: str, labels: Mapping[str, str]) -> Iterable[str]:
    """Those that a sample is counted in."""
    outcome = labels.get("outcome")
    match name:
        case "session_checks_total" if outcome == "ok":
            yield "checksOk"
        case "session_checks_total" if outcome == _UNAVAILABLE:
            yield "unavailable"
        case "session_checks_total":
            yield "checksRefused"
            yield from (column for column, error in _CHECKS.items() if error == outcome)
        case "logins_total":
            yield "loginsOk" if outcome == "ok" else "loginsRefused"
        case "events_total" if labels["event"] == "shared":
            yield "loginsShared"
        case "events_total" if labels["event"] == "replaced":
            yield "replaced"
        case "wechat_calls_total" if outcome not in _WELL:
            yield "wechatFailures"
        case "redis_failures_total" | "sql_failures_total":
            yield f"{name.partition('_')[0]}Failures"
        case _:
            store, is_call, part = name.partition("_call_duration_seconds_")
            if is_call and part in _PARTS:
                yield store + _PARTS[part]


_PARTS: Final = {"count": "Calls", "sum": "Seconds"}


def _plain(value: float) -> float:
    """Counts as integers, seconds to the millisecond."""
    return int(value) if value.is_integer() else round(value, 3)
