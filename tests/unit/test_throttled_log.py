"""A store that is away fails thousands of times a second; the log hears of it now and then."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.core import throttled_log
from service.core.throttled_log import ThrottledLog
from service.redis.errors import describe
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttled_log, "time", clock)
    return clock


def test_the_first_failure_is_told_and_of_the_next_five_seconds_none(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = ThrottledLog("redis")
    for _ in range(1000):
        log.failed("read", "ConnectionError")
    clock.now += 4.9
    log.failed("read", "ConnectionError")
    assert caplog.messages == ["redis: read failed: ConnectionError"]
    clock.now += 0.1
    log.failed("write", "TimeoutError")
    log.failed("write", "TimeoutError")
    assert caplog.messages[1:] == ["redis: write failed: TimeoutError"]


@pytest.mark.usefixtures("clock")
def test_a_store_does_not_silence_another(caplog: pytest.LogCaptureFixture) -> None:
    for store in ("redis", "users"):
        ThrottledLog(store).failed("read", "TimeoutError")
    assert caplog.messages == [
        "redis: read failed: TimeoutError",
        "users: read failed: TimeoutError",
    ]


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (ResponseError("OOM command not allowed"), "ResponseError OOM"),
        (ResponseError("canary@host:6379 says no"), "ResponseError"),
        (ResponseError(""), "ResponseError"),
        (RedisConnectionError("OOM at canary@host:6379"), "ConnectionError"),
    ],
)
def test_of_what_redis_answered_only_the_code_word_is_told(fault: Exception, shown: str) -> None:
    assert describe(fault) == shown
