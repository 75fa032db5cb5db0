"""The access_token when Redis, WeChat, a client or the machine's clock lets it down."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import pytest

from service.core.errors import SessionStoreUnavailable, WeChatMisconfigured
from service.core.models import WeChatApp
from service.redis.batching import CommandBatcher
from service.stores.access_tokens import RedisAccessTokens
from tests.contracts.kinds import ONE_KIND
from tests.contracts.test_access_token import (
    APP,
    FETCH,
    Clock,
    Scene,
    ask_all,
    clock,
    scene,
    until,
)
from tests.support.keys import ACCESS_TOKEN_LOCK_PREFIX as LOCK_PREFIX
from tests.support.keys import ACCESS_TOKEN_PREFIX as KEY_PREFIX
from tests.support.settings import APPID

if TYPE_CHECKING:
    from typing import Any

    from service.wechat.access_token import AccessTokens

__all__ = ["clock", "scene"]  # the fixtures


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    """What is in the log when Python has thrown away every task that ended."""
    gc.collect()
    return [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]


@pytest.fixture
def no_unlocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis goes away between the last answer that matters and the unlocking."""

    async def fail(_self: RedisAccessTokens, _appid: str, _lock: str) -> NoReturn:
        raise SessionStoreUnavailable

    monkeypatch.setattr(RedisAccessTokens, "unlock", fail)


@pytest.mark.usefixtures("no_unlocking")
async def test_a_lock_that_cannot_be_opened_takes_a_stored_token_from_nobody(scene: Scene) -> None:
    token = await scene.worker().get(APP)
    assert await scene.is_good(token)
    assert await scene.stores.redis.exists(LOCK_PREFIX + APPID)
    assert (await scene.worker().get(APP)).value == token.value


@pytest.mark.usefixtures("no_unlocking")
async def test_a_lock_that_cannot_be_opened_hides_no_error_of_wechat(scene: Scene) -> None:
    await scene.simulator.fault("wrong_secret", errcode=40125)
    with pytest.raises(WeChatMisconfigured):
        await scene.worker().get(WeChatApp(APPID, "wrong"))


async def test_a_lock_whose_answer_was_lost_is_held_by_who_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that Redis did and did not answer is sent again."""
    execute, sent = CommandBatcher.execute, 0

    async def twice(self: CommandBatcher, command: bytes) -> Any:
        nonlocal sent
        sent += 1
        await execute(self, command)
        return await execute(self, command)

    monkeypatch.setattr(CommandBatcher, "execute", twice)
    began = time.monotonic()
    await scene.worker().get(APP)
    assert time.monotonic() - began < 2  # and not when the lock has ended by itself
    assert not await scene.stores.redis.exists(LOCK_PREFIX + APPID)
    assert sent


async def test_a_fetch_that_fails_when_all_have_hung_up_is_no_error_of_ours(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    worker = scene.worker()
    await scene.simulator.fault("latency", median_ms=200, tail_ms=200, endpoint=FETCH)
    await scene.simulator.fault("html_502", endpoint=FETCH)
    clients = [asyncio.create_task(worker.get(APP)) for _ in range(2)]

    async def asked() -> bool:
        return await scene.fetches() == 1

    await until(asked, within=5)
    for client in clients:
        client.cancel()
        with suppress(asyncio.CancelledError):
            await client
    await gone(worker)
    assert errors(caplog) == []


async def test_a_bug_in_a_renewal_is_logged_with_its_place(
    scene: Scene, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = scene.worker()
    await worker.get(APP)
    clock.ahead = 6901

    async def fail(*_: object, **__: object) -> NoReturn:
        raise TypeError("bug")

    monkeypatch.setattr(RedisAccessTokens, "lock", fail)
    await worker.get(APP)
    await gone(worker)
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    shown = logging.Formatter().format(record)
    assert "TypeError: bug" in shown
    assert "test_access_token_faults.py" in shown


async def gone(worker: AccessTokens) -> None:
    """Wait for what goes on, as nobody does in a service that runs: aclose hears the errors."""
    async with asyncio.timeout(5):
        while worker._fetches or worker._renewals:
            await asyncio.sleep(0.01)


async def test_a_fault_of_wechat_is_logged_as_that(
    scene: Scene, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    worker = scene.worker()
    await worker.get(APP)
    clock.ahead = 6901
    await scene.simulator.fault("html_502", endpoint=FETCH)
    await worker.get(APP)
    await gone(worker)
    assert errors(caplog) == ["wechat: renewal of the access_token failed: wechat_unavailable"]


@ONE_KIND
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_machine_whose_clock_is_an_hour_off_takes_tokens_for_what_they_are(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """With half an hour left, both would be told apart from what they are by a clock so wrong."""
    right = time.time
    scene.world.clock = right
    await scene.simulator.fault("wrong_type", field="expires_in", value=1800, endpoint=FETCH)
    here, there = scene.workers(2)
    mine = await here.get(APP)
    monkeypatch.setattr(time, "time", lambda: right() + hours * 3600)
    theirs = await there.get(APP)
    assert (theirs.version, theirs.fresh) == (mine.version, True)
    assert 1790 <= theirs.expires_in <= 1800

    await there.discard(APP, theirs)
    theirs = await there.get(APP)
    assert theirs.fresh
    assert 1790 <= theirs.expires_in <= 1800
    monkeypatch.setattr(time, "time", right)
    mine = await here.get(APP)
    assert (mine.version, mine.fresh) == (theirs.version, True)
    assert 1790 <= mine.expires_in <= 1800
    assert await scene.fetches() == 2


@ONE_KIND
async def test_a_token_ends_when_redis_says_so(scene: Scene, clock: Clock) -> None:
    worker = scene.worker()
    await worker.get(APP)
    await scene.stores.redis.persist(KEY_PREFIX + APPID)
    clock.ahead = 7100
    token = await worker.get(APP)
    assert 0 < token.expires_in <= 100
    await worker.aclose()
    assert len(await ask_all([worker])) == 1
