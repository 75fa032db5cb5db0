"""WeChat hangs or has had enough: the service stops asking, says so, and notices the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.wechat import breaker
from tests.support.running import running_service
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

PHONE_NUMBER = "/wxa/business/getuserphonenumber"
TOKEN = "/cgi-bin/stable_token"


@pytest.fixture
async def api(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    """The service, patient with WeChat for 0.6 s, and with a pause of 0.8 s after that."""
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", 0.8)
    configured = settings(wechat_api_base=(simulator.url,), wechat_timeout_ms=600)
    async with running_service(configured) as running:
        yield running


async def log_in_by_phone(api: Api, simulator: Simulator) -> Answer:
    body = {"code": (await simulator.phone())["code"], "loginCode": await simulator.code()}
    return await api.ask("POST", "/login/phone", json=body)


async def test_a_hang_costs_five_logins_and_ends_within_the_pause(
    api: Api, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    await simulator.fault("hang")
    codes = [await simulator.code(f"user-{number}") for number in range(30)]
    hung = await asyncio.gather(*(api.login(codes.pop()) for _ in range(5)))
    assert {(one.status, one.code, one.data["retry"]) for one in hung} == {(502, 50200, "new_code")}

    watch = Stopwatch()
    refused = await asyncio.gather(*(api.login(code) for code in codes))
    assert watch.seconds < 0.3
    assert {(one.status, one.code, one.data["retry"]) for one in refused} == {
        (502, 50200, "same_code")
    }
    assert {one.headers["Retry-After"] for one in refused} == {"1"}
    assert await simulator.exchanges() == 5

    await simulator.heal()
    healed = Stopwatch()
    while (answer := await api.login(codes[0])).status != 200:
        assert answer.data == {"retry": "same_code"}
        await asyncio.sleep(0.02)
    assert healed.seconds < 1
    again = await asyncio.gather(*(api.login(code) for code in codes[1:9]))
    assert {one.status for one in again} == {200}
    told = [one for one in caplog.messages if one.startswith("wechat: /sns/jscode2session for")]
    assert len(told) == 2
    assert "is asked no more" in told[0]
    assert "answers again" in told[1]


async def test_an_endpoint_that_hangs_stops_no_other(api: Api, simulator: Simulator) -> None:
    assert (await log_in_by_phone(api, simulator)).status == 200
    await simulator.fault("hang", endpoint=PHONE_NUMBER)
    for _ in range(5):
        assert (await log_in_by_phone(api, simulator)).code == 50200
    asked = await simulator.calls(PHONE_NUMBER)
    refused = await log_in_by_phone(api, simulator)
    # The login code is spent by then; the phone code is not.
    assert (refused.status, refused.data["retry"]) == (502, "new_code")
    assert refused.headers["Retry-After"] == "1"
    assert await simulator.calls(PHONE_NUMBER) == asked
    assert (await api.login(await simulator.code())).status == 200


async def test_an_access_token_is_not_asked_for_while_that_hangs(
    api: Api, simulator: Simulator
) -> None:
    await simulator.fault("hang", endpoint=TOKEN)
    for _ in range(5):
        assert (await log_in_by_phone(api, simulator)).code == 50200
    watch = Stopwatch()
    assert (await log_in_by_phone(api, simulator)).code == 50200
    assert watch.seconds < 0.5
    assert await simulator.calls(TOKEN) == 5
    await simulator.heal()
    await asyncio.sleep(0.85)
    assert (await log_in_by_phone(api, simulator)).status == 200


@pytest.mark.bar("C3")
async def test_an_app_over_its_quota_is_told_when_to_come_back(
    api: Api, simulator: Simulator
) -> None:
    await simulator.fault("errcode", errcode=45009)
    first, second = [await api.login(await simulator.code()) for _ in range(2)]
    assert (first.status, first.code) == (second.status, second.code) == (429, 42901)
    assert second.data == {"retry": "same_code"}
    assert [one.headers["Retry-After"] for one in (first, second)] == ["60", "60"]
    assert await simulator.exchanges() == 1


async def test_a_phone_code_that_is_not_brought_to_wechat_counts_for_nothing(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    configured = settings(wechat_api_base=(simulator.url,), limit_phone_codes_per_user="2/day")
    async with running_service(configured) as api:
        await simulator.fault("errcode", errcode=45009, endpoint=PHONE_NUMBER)
        refusals = [await log_in_by_phone(api, simulator) for _ in range(6)]
    assert {one.body["error"] for one in refusals} == {"wechat_rate_limited"}
    assert await simulator.calls(PHONE_NUMBER) == 1
