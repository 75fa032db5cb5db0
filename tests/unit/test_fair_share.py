"""Places for calls to WeChat: nobody takes another's, and none is lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest

from service.core import fair_share
from service.core.errors import RateLimited, ServiceError, WeChatBusy
from service.core.fair_share import FairShare
from service.core.throttled_log import ThrottledLog


@dataclass
class Calls:
    """Calls that last until they are told to end."""

    share: FairShare
    begun: list[str | None] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _ends: dict[asyncio.Task[None], asyncio.Event] = field(default_factory=dict)

    def begin(self, client: str | None) -> asyncio.Task[None]:
        end = asyncio.Event()
        task = asyncio.create_task(self._call(client, end))
        self._ends[task] = end
        self.tasks.append(task)
        return task

    async def several(self, client: str | None, count: int) -> list[asyncio.Task[None]]:
        tasks = [self.begin(client) for _ in range(count)]
        await turn()
        return tasks

    async def end(self, task: asyncio.Task[None]) -> None:
        self._ends[task].set()
        await turn()

    async def _call(self, client: str | None, end: asyncio.Event) -> None:
        async with self.share.place(client):
            self.begun.append(client)
            await end.wait()


async def turn() -> None:
    """Let everybody do what they can do now."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def calls() -> Calls:
    """On eight places, so that a client may have two."""
    return Calls(FairShare(8, ThrottledLog("wechat")))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_share, "WAIT_SECONDS", 0.02)


async def finish(calls: Calls) -> None:
    for task in calls.tasks:
        task.cancel()
    await asyncio.gather(*calls.tasks, return_exceptions=True)
    assert_nothing_is_left(calls.share)


def assert_nothing_is_left(share: FairShare) -> None:
    assert share._free == share._places
    assert not share._taken
    assert not share._new
    assert not share._others


@pytest.mark.usefixtures("impatient")
async def test_a_client_has_a_fourth_of_the_places_and_is_refused_more(calls: Calls) -> None:
    tasks = await calls.several("203.0.113.7", 20)
    assert calls.begun == ["203.0.113.7"] * 2
    await calls.several("203.0.113.8", 1)
    assert calls.begun[2:] == ["203.0.113.8"]
    _, refused = tasks[:2], tasks[2:]
    for outcome in await asyncio.gather(*refused, return_exceptions=True):
        assert isinstance(outcome, RateLimited)
        assert outcome.data == {"limit": "wechat_share_per_client", "retry": "same_code"}
        assert outcome.retry_after == 1
    await finish(calls)


@pytest.mark.usefixtures("impatient")
async def test_those_who_are_not_known_may_be_everybody_and_take_all(calls: Calls) -> None:
    tasks = await calls.several(None, 10)
    assert len(calls.begun) == 8
    for outcome in await asyncio.gather(*tasks[8:], return_exceptions=True):
        assert isinstance(outcome, WeChatBusy)
    await finish(calls)


@pytest.mark.usefixtures("impatient")
async def test_where_all_places_are_taken_by_others_it_is_no_fault_of_the_client(
    calls: Calls,
) -> None:
    for client in "abcd":
        await calls.several(client, 2)
    with pytest.raises(WeChatBusy):
        await calls.begin("e")
    await finish(calls)


async def test_a_newcomer_is_next_however_many_wait(calls: Calls) -> None:
    for client in "abcd":
        await calls.several(client, 50)
    under_way = calls.tasks[0]
    await calls.several("newcomer", 2)
    assert len(calls.begun) == 8
    await calls.end(under_way)
    assert calls.begun[8:] == ["newcomer"]
    await finish(calls)


async def test_the_others_take_turns(calls: Calls) -> None:
    under_way = await calls.several(None, 8)
    for client in "abc":
        await calls.several(client, 3)
    for one in under_way:
        await calls.end(one)
    # The last two places stay free: everybody has their share.
    assert calls.begun[8:] == list("abcabc")
    await finish(calls)


async def test_who_has_their_share_is_passed_over(calls: Calls) -> None:
    [first, *_] = await calls.several("a", 3)
    await calls.several(None, 8)
    await calls.end(first)
    # `a` may have one more now; before, the free places went past the one who waited.
    assert calls.begun == ["a", "a", *[None] * 6, "a"]
    await finish(calls)


async def test_a_refused_code_costs_its_client_a_place_for_a_while_and_nobody_else(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_share, "REFUSED_CODE_SECONDS", 0.05)
    for _ in range(2):
        async with calls.share.place("a"):
            calls.share.penalise("a")
    await calls.several("a", 1)
    for client in "bcd":
        await calls.several(client, 2)
    await calls.several("e", 2)
    assert calls.begun == [*"bbccddee"]
    await calls.end(calls.tasks[1])
    assert "a" not in calls.begun
    await asyncio.sleep(0.1)
    assert calls.begun[8:] == ["a"]
    await finish(calls)


async def test_who_is_not_known_is_not_penalised(calls: Calls) -> None:
    calls.share.penalise(None)
    await calls.several(None, 8)
    assert len(calls.begun) == 8
    await finish(calls)


async def test_one_who_gives_up_leaves_the_line(calls: Calls) -> None:
    running, _, waiting, last = await calls.several("a", 4)
    waiting.cancel()
    await turn()
    await calls.end(running)
    assert len(calls.begun) == 3
    assert not last.done()
    await finish(calls)


async def test_a_place_that_comes_at_the_moment_of_giving_up_is_not_lost(calls: Calls) -> None:
    running, _, waiting = await calls.several("a", 3)
    # When its turn has come, and it does not know yet.
    calls.share._others["a"][0].add_done_callback(lambda _: waiting.cancel())
    await calls.end(running)
    assert waiting.cancelled()
    assert len(calls.begun) == 2
    assert calls.share._taken["a"] == 1
    await finish(calls)


async def test_after_any_turmoil_every_place_is_free_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fair_share, "WAIT_SECONDS", 0.005)
    monkeypatch.setattr(fair_share, "REFUSED_CODE_SECONDS", 0.005)
    share, most = FairShare(8, ThrottledLog("wechat")), 0
    under_way = 0
    draw = random.Random(20)

    async def call(client: str | None, seconds: float) -> None:
        nonlocal under_way, most
        with suppress(ServiceError):
            async with share.place(client):
                under_way += 1
                most = max(most, under_way)
                try:
                    await asyncio.sleep(seconds)
                    if draw.random() < 0.3:
                        share.penalise(client)
                finally:
                    under_way -= 1

    tasks = []
    for _ in range(2000):
        client = draw.choice([None, *"abcdefghijkl"])
        tasks.append(asyncio.create_task(call(client, draw.random() * 0.004)))
        if draw.random() < 0.3:
            draw.choice(tasks).cancel()
        if draw.random() < 0.1:
            await asyncio.sleep(draw.random() * 0.002)
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.02)
    assert most == 8
    assert_nothing_is_left(share)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("client", "shown"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:200::/56", "2001:db8:1::/48"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("o6zAJs1234567890123456789012", "a user"),
    ],
)
async def test_the_log_has_the_network_and_not_the_address(
    calls: Calls, caplog: pytest.LogCaptureFixture, client: str, shown: str
) -> None:
    async with AsyncExitStack() as places:
        for _ in range(2):
            await places.enter_async_context(calls.share.place(client))
        for _ in range(3):
            with pytest.raises(RateLimited):
                async with calls.share.place(client):
                    raise AssertionError
    assert caplog.messages == [
        f"wechat: a call of {shown} failed: it has its share of 2 places",
    ]
    assert_nothing_is_left(calls.share)
