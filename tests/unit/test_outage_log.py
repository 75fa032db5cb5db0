"""A store that is away fails thousands of times a second; the log hears of it now and then."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.stores import outage
from service.stores.outage import OutageLog


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_the_first_failure_is_told_and_of_the_next_five_seconds_none(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = OutageLog("redis")
    for _ in range(1000):
        log.failed("read", RedisConnectionError("gone"))
    clock.now += 4.9
    log.failed("read", RedisConnectionError("gone"))
    assert caplog.messages == ["redis: read failed: ConnectionError"]
    clock.now += 0.1
    log.failed("write", TimeoutError())
    log.failed("write", TimeoutError())
    assert caplog.messages[1:] == ["redis: write failed: TimeoutError"]


@pytest.mark.usefixtures("clock")
def test_a_store_does_not_silence_another(caplog: pytest.LogCaptureFixture) -> None:
    for store in ("redis", "users"):
        OutageLog(store).failed("read", TimeoutError())
    assert caplog.messages == [
        "redis: read failed: TimeoutError",
        "users: read failed: TimeoutError",
    ]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("OOM command not allowed", "ResponseError OOM"),
        ("canary@host:6379 says no", "ResponseError"),
        ("", "ResponseError"),
    ],
)
def test_of_what_redis_answered_only_the_code_word_is_told(
    caplog: pytest.LogCaptureFixture, text: str, shown: str
) -> None:
    OutageLog("redis").failed("read", ResponseError(text))
    assert caplog.messages == [f"redis: read failed: {shown}"]
