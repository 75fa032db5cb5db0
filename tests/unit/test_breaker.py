"""The breaker: when it opens, what it lets through meanwhile, and what closes it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

import pytest

from service.core.errors import ServiceError, WeChatRateLimited, WeChatUnavailable
from service.wechat import breaker as module
from service.wechat.breaker import Breaker
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTA, TOO_OFTEN, UNKNOWN_CODE = 45009, 45011, 40029


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    assert clock
    return Breaker("/path for wx1")


def begin(breaker: Breaker) -> AbstractContextManager[None]:
    call = breaker.call()
    call.__enter__()
    return call


def time_out(call: AbstractContextManager[None]) -> None:
    error = TimeoutError()
    assert not call.__exit__(TimeoutError, error, None)


def hang(breaker: Breaker, times: int = 5) -> None:
    for _ in range(times):
        with pytest.raises(TimeoutError), breaker.call():
            raise TimeoutError


def answer(breaker: Breaker, errcode: object = 0, client: str | None = None) -> None:
    with breaker.call():
        breaker.answered(errcode, client)


def refused(breaker: Breaker) -> ServiceError:
    """What a call is refused with, the same before it waits for a place and after."""
    with pytest.raises(ServiceError) as first:
        breaker.check()
    with pytest.raises(ServiceError) as second, breaker.call():
        raise AssertionError
    assert type(first.value) is type(second.value)
    assert first.value.data == second.value.data == {"retry": "same_code"}
    return second.value


def test_five_time_outs_in_a_row_open_it(breaker: Breaker) -> None:
    hang(breaker, 4)
    answer(breaker, UNKNOWN_CODE)
    hang(breaker, 4)
    answer(breaker)
    hang(breaker, 5)
    refusal = refused(breaker)
    assert isinstance(refusal, WeChatUnavailable)
    assert not refusal.sent
    assert refusal.retry_after == 5


def test_after_the_pause_one_call_at_a_time_gets_through(breaker: Breaker, clock: Clock) -> None:
    hang(breaker)
    clock.now += 4.9
    assert refused(breaker).retry_after == 1
    clock.now += 0.1
    probe = begin(breaker)
    for _ in range(10):
        assert refused(breaker).retry_after == 1
    clock.now += 3
    time_out(probe)
    assert refused(breaker).retry_after == 5
    clock.now += 5
    answer(breaker)
    answer(breaker)


@pytest.mark.parametrize("errcode", [0, UNKNOWN_CODE, "nonsense", -1])
def test_any_answer_closes_it_at_once(breaker: Breaker, clock: Clock, errcode: object) -> None:
    late = begin(breaker)
    hang(breaker)
    breaker.answered(errcode, None)
    late.__exit__(None, None, None)
    answer(breaker)
    hang(breaker)
    clock.now += 5
    answer(breaker, errcode)
    calls = [begin(breaker) for _ in range(10)]
    for one in calls:
        one.__exit__(None, None, None)


def test_an_unusable_answer_is_no_silence(breaker: Breaker, clock: Clock) -> None:
    hang(breaker)
    clock.now += 5
    with pytest.raises(WeChatUnavailable), breaker.call():
        raise WeChatUnavailable
    answer(breaker)


def test_calls_from_before_that_time_out_do_not_make_the_pause_longer(
    breaker: Breaker, clock: Clock
) -> None:
    late = [begin(breaker) for _ in range(20)]
    hang(breaker)
    clock.now += 2.9
    for call in late:
        time_out(call)
    clock.now += 2.1
    answer(breaker)


def test_a_probe_that_is_given_up_makes_way_for_the_next(breaker: Breaker, clock: Clock) -> None:
    hang(breaker)
    clock.now += 5
    with suppress(asyncio.CancelledError), breaker.call():
        raise asyncio.CancelledError
    hang(breaker, 1)
    assert refused(breaker).retry_after == 5


def test_a_host_that_is_not_reached_has_told_nothing(breaker: Breaker, clock: Clock) -> None:
    breaker.answered(QUOTA, "somebody")
    clock.now += 61
    with pytest.raises(ConnectionRefusedError), breaker.call():
        raise ConnectionRefusedError
    with breaker.call():
        refused(breaker)  # there is still one at a time, to find out
        breaker.answered(0, "somebody")
    answer(breaker)


def test_a_quota_that_is_used_up_opens_it_for_a_minute(breaker: Breaker, clock: Clock) -> None:
    answer(breaker, QUOTA, "a")
    refusal = refused(breaker)
    assert isinstance(refusal, WeChatRateLimited)
    assert refusal.retry_after == 60
    clock.now += 60
    answer(breaker, QUOTA, "b")
    assert refused(breaker).retry_after == 60
    clock.now += 60
    answer(breaker)
    answer(breaker)


@pytest.mark.parametrize("client", ["203.0.113.7", None])
def test_one_client_who_is_told_to_slow_down_stops_nobody(
    breaker: Breaker, client: str | None
) -> None:
    for _ in range(100):
        answer(breaker, TOO_OFTEN, client)
    answer(breaker)


def test_five_clients_in_a_row_who_are_told_to_slow_down_open_it(
    breaker: Breaker, clock: Clock
) -> None:
    for client in "abcd":
        answer(breaker, TOO_OFTEN, client)
    answer(breaker, 0, "e")
    for client in "efgh":
        answer(breaker, TOO_OFTEN, client)
    answer(breaker, TOO_OFTEN, "i")
    refusal = refused(breaker)
    assert isinstance(refusal, WeChatRateLimited)
    assert refusal.retry_after == 5
    clock.now += 5
    answer(breaker, TOO_OFTEN, "a")
    assert refused(breaker).retry_after == 5
    clock.now += 5
    answer(breaker, UNKNOWN_CODE, "j")
    answer(breaker, TOO_OFTEN, "a")
    answer(breaker)


def test_a_client_who_is_told_to_slow_down_has_been_answered(
    breaker: Breaker, clock: Clock
) -> None:
    hang(breaker)
    clock.now += 5
    answer(breaker, TOO_OFTEN, "a")
    answer(breaker)


def test_the_log_hears_of_it_once_when_it_opens_and_once_when_it_closes(
    breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    hang(breaker)
    for _ in range(3):
        clock.now += 5
        hang(breaker, 1)
        for _ in range(100):
            refused(breaker)
    clock.now += 5
    answer(breaker)
    answer(breaker)
    assert caplog.messages == [
        "wechat: /path for wx1 is asked no more for 5 s: 5 time-outs in a row",
        "wechat: /path for wx1 answers again after 20.0 s, in which 600 calls were refused",
    ]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("INFO"):
        yield
