"""Phone numbers: logging in by them, linking, changing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

REDEEM = "/wxa/business/getuserphonenumber"
NUMBER = "13800000001"


async def by_phone(
    api: Api, simulator: Simulator, user: str = "alice", path: str = "/login/phone", **fields: str
) -> Answer:
    body = {"loginCode": await simulator.code(user), **fields}
    if "code" not in body:
        body["code"] = (await simulator.phone(user, phone=NUMBER))["code"]
    return await api.ask("POST", path, json=body)


@pytest.mark.parametrize("path", ["/login/phone", "/loginByPhone"])
async def test_phone_and_openid_become_one_account(
    api: Api, simulator: Simulator, path: str
) -> None:
    plain = await api.login(await simulator.code())
    linked = await by_phone(api, simulator, path=path)
    assert linked.status == 200
    assert linked.data["user"]["id"] == plain.data["user"]["id"]
    assert linked.data["user"]["phone"] == "138****0001"
    assert not linked.data["isNewUser"]
    session = {"sessionid": linked.data["sessionid"]}
    assert (await api.ask("GET", "/me", headers=session)).data["phone"] == f"+86 {NUMBER}"


async def test_a_stranger_with_a_phone_is_a_new_user_with_it(
    api: Api, simulator: Simulator
) -> None:
    first, second = [await by_phone(api, simulator) for _ in range(2)]
    assert (first.data["isNewUser"], second.data["isNewUser"]) == (True, False)
    assert first.data["user"]["id"] == second.data["user"]["id"]


async def test_a_number_of_another_account_is_taken(api: Api, simulator: Simulator) -> None:
    await by_phone(api, simulator, "alice")
    for known in (False, True):
        if known:
            await api.login(await simulator.code("bob"))
        taken = await by_phone(api, simulator, "bob")
        assert (taken.status, taken.code, taken.data) == (409, 40900, None)


async def test_a_phone_code_is_asked_about_once(api: Api, simulator: Simulator) -> None:
    code = (await simulator.phone(phone=NUMBER))["code"]
    answers = [await by_phone(api, simulator, code=code) for _ in range(2)]
    answers += await asyncio.gather(*(by_phone(api, simulator, code=code) for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert await simulator.calls(REDEEM) == 1


async def test_nobody_else_gets_the_number_behind_a_code(api: Api, simulator: Simulator) -> None:
    code = (await simulator.phone("alice", phone=NUMBER))["code"]
    await by_phone(api, simulator, "alice", code=code)
    stolen = await by_phone(api, simulator, "mallory", code=code)
    assert (stolen.status, stolen.code) == (400, 40003)


async def test_an_openid_sent_along_keeps_others_codes_out(api: Api, simulator: Simulator) -> None:
    code = (await simulator.phone("alice", phone=NUMBER))["code"]
    stolen = await by_phone(api, simulator, "mallory", code=code)
    assert (stolen.status, stolen.code) == (400, 40003)
    assert (await by_phone(api, simulator, "bob")).status == 200


async def test_an_openid_need_not_be_sent_along(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    await simulator.fault("openid_refused")
    trusting = settings(wechat_api_base=(simulator.url,), phone_send_openid=False)
    async with running_service(trusting) as api:
        assert (await by_phone(api, simulator)).status == 200
    assert await simulator.calls(REDEEM) == 1


async def test_where_wechat_refuses_the_openid_codes_go_without_from_then_on(
    api: Api, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    await simulator.fault("openid_refused")
    for person, calls in (("alice", 2), ("bob", 3), ("carol", 4)):
        code = (await simulator.phone(person))["code"]
        assert (await by_phone(api, simulator, person, code=code)).status == 200
        assert await simulator.calls(REDEEM) == calls
    assert len([one for one in caplog.messages if "no openid with phone codes" in one]) == 1


async def test_a_code_that_wechat_cannot_read_in_any_case_does_not_end_the_check(
    api: Api, simulator: Simulator
) -> None:
    await simulator.fault("errcode", errcode=47001, endpoint=REDEEM, times=2)
    assert (await by_phone(api, simulator)).code == 50310
    code = (await simulator.phone("alice", phone=NUMBER))["code"]
    stolen = await by_phone(api, simulator, "mallory", code=code)
    assert (stolen.status, stolen.code) == (400, 40003)


async def test_the_same_request_again_gets_the_same_answer(api: Api, simulator: Simulator) -> None:
    body = {
        "loginCode": await simulator.code(),
        "code": (await simulator.phone(phone=NUMBER))["code"],
    }
    answers = [
        await api.ask("POST", "/login/phone", json=body, headers={"Idempotency-Key": "k1"})
        for _ in range(2)
    ]
    assert answers[0].body == answers[1].body
    assert (await simulator.exchanges(), await simulator.calls(REDEEM)) == (1, 1)


async def test_swapped_codes_are_told_so(api: Api, simulator: Simulator) -> None:
    login, phone = await simulator.code(), (await simulator.phone())["code"]
    swapped = await api.ask("POST", "/login/phone", json={"code": login, "loginCode": phone})
    assert (swapped.status, swapped.code) == (400, 40001)
    assert "swapped" in swapped.data["hint"]
    twice = await api.ask(
        "POST", "/login/phone", json={"code": await simulator.code(), "loginCode": login}
    )
    assert (twice.status, twice.code) == (400, 40003)


@pytest.mark.parametrize("code", [40001, 40003])
async def test_a_refusal_that_is_repeated_has_the_hint_of_the_first(
    api: Api, simulator: Simulator, code: int
) -> None:
    login = (await simulator.phone())["code"] if code == 40001 else await simulator.code()
    body = {"loginCode": login, "code": "too short for a phone code"}
    answers = [
        await api.ask(
            "POST",
            "/login/phone",
            json=body,
            headers={"Idempotency-Key": "k1", "X-Request-ID": "same"},
        )
        for _ in range(2)
    ]
    assert (answers[0].status, answers[0].code) == (400, code)
    assert "swapped" in answers[0].data["hint"]
    assert answers[1].body == answers[0].body
    assert await simulator.exchanges() == 1


async def test_a_refused_phone_code_says_to_press_the_button_again(
    api: Api, simulator: Simulator
) -> None:
    refused = await by_phone(api, simulator, code="0" * 64)
    assert (refused.status, refused.code) == (400, 40003)
    missing = await api.ask("POST", "/login/phone", json={"code": "x"})
    assert (missing.status, missing.data["field"]) == (400, "loginCode")


async def test_who_brings_somebody_elses_code_takes_nothing_from_them(
    api: Api, simulator: Simulator
) -> None:
    code = (await simulator.phone("victor", phone=NUMBER))["code"]
    for user, status in (("mallory", 400), ("victor", 200)):
        login = await api.login(await simulator.code(user))
        session = {"sessionid": login.data["sessionid"]}
        answer = await api.ask("PUT", "/me/phone", json={"code": code}, headers=session)
        assert answer.status == status


async def test_a_phone_is_bound_by_code_or_by_encrypted_data(
    api: Api, simulator: Simulator
) -> None:
    login = await api.login(await simulator.code())
    session = {"sessionid": login.data["sessionid"]}
    first = await simulator.phone(phone=NUMBER)
    bound = await api.ask("PUT", "/me/phone", json={"code": first["code"]}, headers=session)
    assert bound.data["phone"] == f"+86 {NUMBER}"
    second = await simulator.phone(phone="+852 61234567")
    encrypted = {"encryptedData": second["encryptedData"], "iv": second["iv"]}
    changed = await api.ask("PUT", "/me/phone", json=encrypted, headers=session)
    assert changed.data["phone"] == "+852 61234567"
    for bad in ({}, {**encrypted, "code": "x"}, {"iv": "x"}, {"encryptedData": "x"}):
        refused = await api.ask("PUT", "/me/phone", json=bad, headers=session)
        assert (refused.status, refused.code) == (400, 40000)


async def test_a_profile_is_no_phone_number(api: Api, simulator: Simulator) -> None:
    login = await api.login(await simulator.code())
    session = {"sessionid": login.data["sessionid"]}
    profile = await simulator.profile()
    encrypted = {"encryptedData": profile["encryptedData"], "iv": profile["iv"]}
    refused = await api.ask("PUT", "/me/phone", json=encrypted, headers=session)
    assert (refused.status, refused.code, refused.data) == (400, 40005, {"relogin": False})
