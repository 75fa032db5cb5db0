"""An answer that takes longer than the server lets a request take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.app import create_app
from tests.support.running import Api, running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Simulator

BUSY = {"zh": "服务繁忙，请稍后再试", "en": "The service is too busy to answer; try again"}


@pytest.fixture
async def api(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    """A server of little patience."""

    def impatient(**how: object) -> object:
        app = create_app(**how)  # type: ignore[arg-type] # as it is called
        app.config.update({"RESPONSE_TIMEOUT": 0.3})
        return app

    monkeypatch.setattr("tests.support.running.create_app", impatient)
    async with running_service(
        settings(wechat_api_base=(simulator.url,), wechat_timeout_ms=1000)
    ) as running:
        yield running


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_it_is_told_to_try_again(
    api: Api, simulator: Simulator, caplog: pytest.LogCaptureFixture, language: str
) -> None:
    await simulator.fault("hang")
    asked = {"X-Request-ID": "slow-1", "Accept-Language": language}
    answer = await api.ask("POST", "/login", json={"code": "c"}, headers=asked)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.body == {
        "code": 50302,
        "error": "service_unavailable",
        "msg": BUSY[language],
        "data": None,
        "requestId": "slow-1",
    }
    await simulator.heal()
    [record] = [one for one in caplog.records if one.message.startswith("answered 503: ")]
    assert vars(record)["requestId"] == "slow-1"


async def test_a_login_that_was_too_slow_is_there_for_the_repeat(
    api: Api, simulator: Simulator
) -> None:
    await simulator.fault("latency", median_ms=600, tail_ms=600)
    code = await simulator.code()
    assert (await api.login(code, key="k1")).status == 503
    await simulator.heal()
    async with asyncio.timeout(5):
        while (again := await api.login(code, key="k1")).status == 503:
            pass
    assert again.status == 200
    assert await simulator.exchanges() == 1
