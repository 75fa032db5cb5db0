"""What is away is a line when that begins, one a minute, and one when it is over."""

from __future__ import annotations

import logging

import pytest

from service.core import outage
from service.core.outage import Outage, OutageRecord, Outages
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outage, "time", clock)
    return clock


@pytest.fixture
def outages() -> Outages:
    return Outages()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, object]]]:
    names = ("where", "seconds", "failures", "errcode")
    return [
        (
            one.levelname,
            one.message,
            {name: vars(one)[name] for name in names if name in vars(one)},
        )
        for one in caplog.records
    ]


def test_a_thousand_failures_are_one_line_a_minute_and_one_at_the_end(
    clock: Clock, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    redis = outages.of("redis", "127.0.0.1:6379")
    for _ in range(900):
        redis.failed("read", "ConnectionError")
        clock.now += 0.125
    assert redis.lasts
    clock.now += 1
    redis.works()
    clock.now += 100
    redis.works()
    where = {"where": "127.0.0.1:6379"}
    assert lines(caplog) == [
        ("ERROR", "redis: outage begins: read failed: ConnectionError", where),
        (
            "ERROR",
            "redis: outage goes on: read failed: ConnectionError",
            {**where, "seconds": 60.0, "failures": 481},
        ),
        ("WARNING", "redis: outage is over", {**where, "seconds": 113.5, "failures": 900}),
    ]
    assert not redis.lasts


def test_it_is_said_again_though_nobody_asks_any_more(
    clock: Clock, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    outages.of("wechat").failed("/path", "no answer", errcode=40125)
    for _ in range(130):
        clock.now += 1
        outages.remind()
    assert [line[2].get("seconds") for line in lines(caplog)] == [None, 60.0, 120.0]
    assert all(line[2]["errcode"] == 40125 for line in lines(caplog))
    assert outages.any_last


def test_a_success_in_the_midst_of_failures_is_no_end(
    clock: Clock, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a cluster, one half may be away; or Redis is read, and takes no changes."""
    redis = outages.of("redis")
    for _ in range(300):
        redis.works()
        redis.failed("SET", "ResponseError OOM")
        clock.now += 0.1
    assert [line[1] for line in lines(caplog)] == [
        "redis: outage begins: SET failed: ResponseError OOM"
    ]
    clock.now += 2
    outages.remind()
    assert lines(caplog)[1:] == []  # nobody has found that it works since it last failed
    redis.works()
    assert lines(caplog)[1][1] == "redis: outage is over"


def test_an_end_that_was_noticed_is_said_though_nobody_comes_after(
    clock: Clock, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    avatars = outages.of("avatars")
    avatars.failed("put", "TimeoutError")
    clock.now += 0.5
    avatars.works()
    assert outages.any_last
    clock.now += 0.6
    outages.remind()
    assert lines(caplog)[1][1:] == ("avatars: outage is over", {"seconds": 0.5, "failures": 1})
    assert not outages.any_last


def test_what_comes_and_goes_is_not_said_each_time(
    clock: Clock, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    redis = outages.of("redis")
    for _ in range(40):
        redis.failed("EVALSHA", "ResponseError NOPERM")
        clock.now += 2
        redis.works()
        clock.now += 3
    told = [line[1].partition(": ")[2].partition(":")[0] for line in lines(caplog)]
    assert told == ["outage begins", "outage is over", "outage comes back", *["outage goes on"] * 3]
    redis.works()
    clock.now += 60
    outages.remind()
    assert lines(caplog)[-1][1] == "redis: outage is over"
    clock.now += 61
    redis.failed("read", "x")
    assert lines(caplog)[-1][1] == "redis: outage begins: read failed: x"


@pytest.mark.usefixtures("clock")
def test_an_outage_hides_no_other(outages: Outages, caplog: pytest.LogCaptureFixture) -> None:
    for what in ("redis", "sql"):
        outages.of(what).failed("read", "TimeoutError")
    assert [line[1] for line in lines(caplog)] == [
        "redis: outage begins: read failed: TimeoutError",
        "sql: outage begins: read failed: TimeoutError",
    ]


def test_all_three_lines_pass_at_the_level_of_warnings(
    clock: Clock, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    for level in (logging.WARNING, logging.ERROR):
        wechat = outages.of("wechat", level=level)
        wechat.failed("connecting", "x")
        clock.now += 60
        wechat.failed("connecting", "x")
        clock.now += 60
        wechat.works()
    assert [line[0] for line in lines(caplog)] == [
        *("WARNING", "WARNING", "WARNING"),
        *("ERROR", "ERROR", "WARNING"),
    ]


def test_the_last_fifty_are_kept_and_those_that_last(clock: Clock, outages: Outages) -> None:
    lasting = outages.of("sql", "db:5432/users")
    lasting.failed("look", "InvalidPasswordError (SQLSTATE 28P01: InvalidPasswordError)")
    for number in range(60):
        clock.now += 100
        one = Outage(f"thing {number}", outages=outages)
        one.failed("it", "x")
        clock.now += 2
        one.works()
    found = outages.recent()
    assert len(found) == 50
    assert found[-1] == OutageRecord(
        "sql",
        "db:5432/users",
        1_000_000,
        None,
        "look failed: InvalidPasswordError (SQLSTATE 28P01: InvalidPasswordError)",
        1,
    )
    assert found[0] == OutageRecord("thing 59", "", 7_118_000, 7_120_000, "it failed: x", 1)
    assert [one.since for one in found] == sorted((one.since for one in found), reverse=True)


def test_the_same_thing_is_kept_once_for_each_time_that_it_was_away(
    clock: Clock, outages: Outages
) -> None:
    redis = outages.of("redis")
    for _ in range(2):
        redis.failed("read", "x")
        clock.now += 70
        redis.works()
        clock.now += 70
    first, second = reversed(outages.recent())
    assert (first.since, first.until) == (1_000_000, 1_070_000)
    assert (second.since, second.until) == (1_140_000, 1_210_000)
