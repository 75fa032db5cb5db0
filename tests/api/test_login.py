"""Logging in, being recognised, logging out, as a mini-program sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from service.wechat import client
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator


@pytest.mark.parametrize("by_phone", [False, True])
async def test_a_unionid_that_wechat_leaves_out_is_the_one_it_gave_before(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, *, by_phone: bool
) -> None:
    genuine, given = client._identity, iter(["uAlice", None])
    monkeypatch.setattr(
        client, "_identity", lambda answer: replace(genuine(answer), unionid=next(given))
    )
    await api.login(await simulator.code())
    body, path = {"code": await simulator.code()}, "/login"
    if by_phone:
        phone = (await simulator.phone())["code"]
        body, path = {"loginCode": body["code"], "code": phone}, "/login/phone"
    login = await api.ask("POST", path, json=body)
    headers = {"sessionid": login.data["sessionid"]}
    assert (await api.ask("GET", "/verify", headers=headers)).headers["X-Auth-Unionid"] == "uAlice"


@pytest.mark.parametrize("path", ["/login", "/login/phone"])
async def test_an_empty_optional_field_is_an_absent_one(
    api: Api, simulator: Simulator, path: str
) -> None:
    names = ("appid", "device", "encryptedData", "iv", "rawData", "signature")
    body = {**dict.fromkeys(names, ""), "code": await simulator.code()}
    if path == "/login/phone":
        body = {**body, "code": (await simulator.phone())["code"], "loginCode": body["code"]}
    assert (await api.ask("POST", path, json=body)).status == 200
    no_code = await api.ask("POST", path, json={**body, "code": ""})
    assert (no_code.status, no_code.data["field"]) == (400, "code")


async def test_a_code_becomes_a_session_that_is_recognised_until_logout(
    api: Api, simulator: Simulator
) -> None:
    login = await api.login(await simulator.code())
    assert (login.status, login.code, login.body["msg"]) == (200, 0, "ok")
    assert login.data["expiresIn"] == 7200
    sessionid = login.data["sessionid"]

    session = await api.session(sessionid)
    assert (session.status, session.data["device"]) == (200, "default")
    assert 7190 <= session.data["expiresIn"] <= 7200
    assert session.data["issuedAt"] > 1_700_000_000

    products = await api.ask("GET", "/wx/products/list", headers={"sessionid": sessionid})
    assert products.status == 200
    assert len(products.data["products"]) == 3

    assert (await api.logout(sessionid)).data == {"ended": True}
    dead = await api.session(sessionid)
    assert (dead.status, dead.code) == (401, 40102)


async def test_a_later_login_turns_the_first_id_away_and_says_why(
    api: Api, simulator: Simulator
) -> None:
    first = (await api.login(await simulator.code())).data["sessionid"]
    second = (await api.login(await simulator.code())).data["sessionid"]
    replaced = await api.session(first)
    assert (replaced.status, replaced.code) == (401, 40101)
    issued = (await api.session(second)).data["issuedAt"]
    assert replaced.data == {"at": issued, "device": "default"}
    assert replaced.headers["WWW-Authenticate"] == (
        'Session realm="minigate", error="session_replaced"'
    )


async def test_a_made_up_secret_learns_nothing_of_the_handles_owner(
    api: Api, simulator: Simulator
) -> None:
    await api.login(await simulator.code())
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    made_up = sessionid[:23] + "A" * 43
    unknown = "B" * 22 + "." + "A" * 43
    answers = [await api.session(one) for one in (made_up, unknown)]
    assert [(one.status, one.code, one.data) for one in answers] == [(401, 40102, None)] * 2
    assert (await api.session(sessionid)).status == 200


async def test_ten_logins_at_once_share_one_session(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with running_service(settings(wechat_api_base=(simulator.url,))) as api:
        codes = [await simulator.code() for _ in range(10)]
        answers = await asyncio.gather(*(api.login(code) for code in codes))
        assert {answer.status for answer in answers} == {200}
        ids = {answer.data["sessionid"] for answer in answers}
        assert len(ids) == 1
        assert (await api.session(ids.pop())).status == 200
        assert await simulator.exchanges() == 10


async def test_of_ten_strict_logins_at_once_exactly_one_stays_valid(
    api: Api, simulator: Simulator
) -> None:
    codes = [await simulator.code() for _ in range(10)]
    answers = await asyncio.gather(*(api.login(code) for code in codes))
    statuses = [(await api.session(answer.data["sessionid"])).status for answer in answers]
    assert sorted(statuses) == [200] + [401] * 9


@pytest.mark.bar("H2")
async def test_one_code_sent_ten_times_at_once_goes_to_wechat_once(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    answers = await asyncio.gather(*(api.login(code) for _ in range(10)))
    assert sorted(answer.code for answer in answers) == [0] + [40002] * 9
    assert await simulator.exchanges() == 1
    refused = next(answer for answer in answers if answer.code)
    assert (refused.status, refused.data) == (400, {"retry": "new_code"})


async def test_the_same_request_again_gets_the_same_answer(api: Api, simulator: Simulator) -> None:
    code = await simulator.code()
    first = await api.login(code, key="client-1")
    again = await api.login(code, key="client-1")
    assert again.body == first.body
    assert await simulator.exchanges() == 1
    for key in (None, "client-2"):
        stranger = await api.login(code, key=key)
        assert (stranger.status, stranger.code) == (400, 40002)
    assert (await api.session(first.data["sessionid"])).status == 200


async def test_the_same_request_ten_times_at_once_gets_one_answer(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    answers = await asyncio.gather(*(api.login(code, key="client-1") for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["sessionid"] for answer in answers}) == 1
    assert await simulator.exchanges() == 1


async def test_no_answer_is_repeated_for_a_session_that_has_ended(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    first = await api.login(code, key="client-1")
    await api.logout(first.data["sessionid"])
    again = await api.login(code, key="client-1")
    assert (again.status, again.code) == (400, 40002)


async def test_a_login_whose_client_hangs_up_is_there_for_the_repeat(
    api: Api, simulator: Simulator
) -> None:
    await simulator.fault("latency", median_ms=300, tail_ms=300)
    code = await simulator.code()
    hanging = asyncio.create_task(api.login(code, key="client-1"))
    while await simulator.exchanges() == 0:
        await asyncio.sleep(0.01)
    hanging.cancel()
    await asyncio.wait([hanging])
    again = await api.login(code, key="client-1")
    assert again.status == 200
    assert await simulator.exchanges() == 1
    assert (await api.session(again.data["sessionid"])).status == 200


async def test_an_unknown_appid_is_refused_before_the_code_is_spent(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    for refused in (
        await api.login(code, appid="wxffffffffffffffff"),
        await api.ask(
            "POST",
            "/login",
            json={"code": code},
            headers={"Referer": "https://servicewechat.com/wxffffffffffffffff/0/page-frame.html"},
        ),
    ):
        assert (refused.status, refused.code) == (400, 40004)
    assert await simulator.exchanges() == 0
    assert (await api.login(code, appid=APPID)).status == 200


async def test_the_body_goes_before_the_referer(api: Api, simulator: Simulator) -> None:
    answer = await api.ask(
        "POST",
        "/login",
        json={"code": await simulator.code(), "appid": APPID},
        headers={"Referer": "https://servicewechat.com/wxffffffffffffffff/0/page-frame.html"},
    )
    assert answer.status == 200


async def test_device_classes_have_a_session_each(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    configured = settings(wechat_api_base=(simulator.url,), device_classes=("phone", "pc"))
    async with running_service(configured) as api:
        phone = await api.login(await simulator.code())
        pc = await api.login(await simulator.code(), device="pc")
        sessions = [await api.session(one.data["sessionid"]) for one in (phone, pc)]
        assert [one.data["device"] for one in sessions] == ["phone", "pc"]
        unknown = await api.login(await simulator.code(), device="watch")
        assert (unknown.status, unknown.code, unknown.data["field"]) == (400, 40000, "device")


@pytest.mark.parametrize(("parameters", "status"), [(32, 200), (33, 400)])
async def test_a_query_of_thousands_of_parameters_is_not_read(
    api: Api, simulator: Simulator, parameters: int, status: int
) -> None:
    query = {f"a{number}": "1" for number in range(parameters - 1)}
    query["code"] = await simulator.code()
    answer = await api.ask("GET", "/wx/onlogin", params=query)
    assert answer.status == status
    if status != 200:
        assert answer.data["field"] == "query"


async def test_the_tutorials_form_of_the_login_works(api: Api, simulator: Simulator) -> None:
    answer = await api.ask("GET", "/wx/onlogin", params={"code": await simulator.code()})
    assert answer.status == 200
    assert answer.body["sessionid"] == answer.data["sessionid"]
    assert (await api.session(answer.body["sessionid"])).status == 200


@pytest.mark.parametrize(
    "headers", [{}, {"sessionid": "rubbish"}, {"sessionid": "B" * 22 + "." + "A" * 43}]
)
async def test_logging_out_without_a_live_session_is_no_error(
    api: Api, headers: dict[str, str]
) -> None:
    answer = await api.ask("POST", "/logout", headers=headers)
    assert (answer.status, answer.data) == (200, {"ended": False})


async def test_a_stale_logout_leaves_the_newer_session_alone(
    api: Api, simulator: Simulator
) -> None:
    first = (await api.login(await simulator.code())).data["sessionid"]
    second = (await api.login(await simulator.code())).data["sessionid"]
    assert (await api.logout(first)).data == {"ended": False}
    assert (await api.session(second)).status == 200
