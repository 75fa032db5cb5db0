"""The last hour in figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from service.metrics import figures as module
from service.metrics import series
from service.metrics.figures import COLUMNS, Figures, totals_of
from service.metrics.scrape import collect
from service.metrics.tally import flush_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    now = 1_700_000_003.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def figures() -> Iterator[Figures]:
    made = Figures()
    yield made
    made.close()


async def note(figures: Figures) -> None:
    """What is done each second."""
    if figures.is_due:
        await figures.note()


def test_the_columns_are_those_that_the_overview_promises() -> None:
    assert list(COLUMNS) == [
        *("at", "checksOk", "checksRefused", "refusedMissing", "refusedReplaced"),
        *("refusedExpired", "refusedKicked", "refusedBanned", "refusedMalformed", "unavailable"),
        *("loginsOk", "loginsRefused", "loginsShared", "replaced"),
        *("wechatCalls", "wechatSeconds", "wechatFailures"),
        *("redisCalls", "redisSeconds", "redisFailures"),
        *("sqlCalls", "sqlSeconds", "sqlFailures"),
    ]


async def test_each_column_counts_what_it_says() -> None:
    async def totals() -> dict[str, float]:
        flush_all()
        found = totals_of(await collect())
        return {name: found[name] for name in COLUMNS[1:]}

    before = await totals()
    for outcome, count in {
        "ok": 1,
        "session_missing": 2,
        "session_replaced": 3,
        "session_expired": 4,
        "session_kicked": 5,
        "user_banned": 6,
        "session_malformed": 7,
        "session_store_unavailable": 8,
    }.items():
        series.session_checks.add(outcome, by=count)
    series.requests.short_way.observe(0.001)
    series.logins.add("ok", "", by=9)
    series.logins.add("login_code_invalid", "40029", by=10)
    series.events.add("shared", by=11)
    series.events.add("replaced", by=12)
    series.events.add("kicked", by=13)
    for outcome, count in {"ok": 1, "refused": 2, "cancelled": 5, "timeout": 3, "busy": 4}.items():
        series.wechat_calls.add("/sns/jscode2session", outcome, by=count)
    series.wechat_seconds.observe(0.25, "/sns/jscode2session")
    series.redis_seconds.observe(0.5, "read")
    series.redis_seconds.observe(0.25, "create")
    series.redis_failures.add("read", "unreachable", by=14)
    series.sql_seconds.observe(2.0, "find")
    series.sql_failures.add("read", "timeout", by=15)
    after = await totals()
    assert {name: after[name] - before[name] for name in after} == pytest.approx(
        {
            "checksOk": 2,
            "checksRefused": 27,
            "refusedMissing": 2,
            "refusedReplaced": 3,
            "refusedExpired": 4,
            "refusedKicked": 5,
            "refusedBanned": 6,
            "refusedMalformed": 7,
            "unavailable": 8,
            "loginsOk": 9,
            "loginsRefused": 10,
            "loginsShared": 11,
            "replaced": 12,
            "wechatCalls": 1,
            "wechatSeconds": 0.25,
            "wechatFailures": 7,
            "redisCalls": 2,
            "redisSeconds": 0.75,
            "redisFailures": 14,
            "sqlCalls": 1,
            "sqlSeconds": 2.0,
            "sqlFailures": 15,
        }
    )


async def test_one_row_for_each_step_of_an_hour(clock: Clock, figures: Figures) -> None:
    begin = clock.now
    for second in range(4000):
        clock.now = begin + second
        await note(figures)
    history = figures.history()
    assert history["step"] == 10
    assert history["columns"] == list(COLUMNS)
    times = [row[0] for row in history["rows"]]
    assert len(times) == 360
    assert times == list(range(times[0], times[0] + 3_600_000, 10_000))
    assert times[-1] == (begin + 3999) // 10 * 10_000
    assert all(isinstance(row[0], int) for row in history["rows"])


async def test_after_a_pause_nothing_old_passes_for_new(clock: Clock, figures: Figures) -> None:
    await note(figures)
    assert len(figures.history()["rows"]) == 1
    clock.now += 3700
    assert figures.history()["rows"] == []
    await note(figures)
    assert len(figures.history()["rows"]) == 1


async def test_workers_share_the_rows_and_one_of_them_counts(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shared_folder", lambda: tmp_path)
    asked = []

    async def count() -> list[object]:
        asked.append(clock.now)
        return list(CollectorRegistry().collect())

    monkeypatch.setattr(module, "collect", count)
    first, second = Figures(), Figures()
    for _ in range(20):
        await note(first)
        await note(second)
        clock.now += 1
    assert len(asked) == 3
    assert first.history() == second.history()
    first.close()
    # Whoever follows has them, too.
    third = Figures()
    assert third.history() == second.history()
    assert len(third.history()["rows"]) == 3
    second.close()
    third.close()


async def test_without_room_for_a_file_they_are_in_memory(
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "shared_folder", lambda: tmp_path / "not there")
    figures = Figures()
    assert "no room for the last hour" in caplog.text
    monkeypatch.setattr("service.metrics.scrape.shared_folder", lambda: None)
    await note(figures)
    assert [row[0] for row in figures.history()["rows"]] == [clock.now // 10 * 10_000]
    figures.close()


async def test_the_clock_may_be_set_back(clock: Clock, figures: Figures) -> None:
    now = time.time()
    clock.now = now + 7200
    await note(figures)
    clock.now = now
    await note(figures)
    rows = figures.history()["rows"]
    assert [row[0] for row in rows] == [int(now) // 10 * 10_000]
