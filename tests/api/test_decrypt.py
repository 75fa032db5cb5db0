"""Data that WeChat encrypted for the user."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> dict[str, str]:
    login = await api.login(await simulator.code(user))
    return {"sessionid": login.data["sessionid"]}


async def decrypt(api: Api, session: dict[str, str], sealed: dict[str, Any]) -> Answer:
    body = {name: sealed[name] for name in ("encryptedData", "iv")}
    return await api.ask("POST", "/decrypt", json=body, headers=session)


async def test_a_phone_and_a_profile_are_opened(api: Api, simulator: Simulator) -> None:
    session = await log_in(api, simulator)
    phone = await decrypt(api, session, await simulator.phone(phone="13800000001"))
    assert phone.data["purePhoneNumber"] == "13800000001"
    profile = await decrypt(api, session, await simulator.profile(nickName="小明"))
    assert profile.data["nickName"] == "小明"
    assert profile.data["watermark"]["appid"] == APPID


async def test_the_key_before_the_last_login_still_opens(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with running_service(settings(wechat_api_base=(simulator.url,))) as api:
        session = await log_in(api, simulator)
        sealed = await simulator.phone()
        assert await log_in(api, simulator) == session  # shared, with a new session_key
        assert (await decrypt(api, session, sealed)).status == 200
        assert (await decrypt(api, session, await simulator.phone())).status == 200
        await log_in(api, simulator)  # and one more: too old now
        old = await decrypt(api, session, sealed)
        assert (old.status, old.code, old.data) == (400, 40005, {"relogin": True})


@pytest.fixture
async def strict(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    """Where each login replaces the session before it."""
    values = {"wechat_api_base": (simulator.url,), "login_coalesce_ms": 0}
    async with running_service(settings(**values)) as api:
        yield api


async def test_data_from_before_a_login_opens_in_its_session(
    strict: Api, simulator: Simulator
) -> None:
    """As when the callback of the phone button calls `wx.login` before it sends the data."""
    await log_in(strict, simulator)
    sealed = await simulator.phone(phone="13800000001")
    session = await log_in(strict, simulator)
    assert (await decrypt(strict, session, sealed)).data["purePhoneNumber"] == "13800000001"
    body = {name: sealed[name] for name in ("encryptedData", "iv")}
    bound = await strict.ask("PUT", "/me/phone", json=body, headers=session)
    assert (bound.status, bound.data["phone"]) == (200, "+86 13800000001")
    session = await log_in(strict, simulator)  # and one more: too old now
    old = await decrypt(strict, session, sealed)
    assert (old.status, old.code, old.data) == (400, 40005, {"relogin": True})


@pytest.mark.parametrize("also_signed", [False, True])
async def test_a_profile_from_before_its_login_comes_with_it(
    strict: Api,
    simulator: Simulator,
    also_signed: bool,  # noqa: FBT001 # a parameter of the test
) -> None:
    await log_in(strict, simulator)
    profile = await simulator.profile(nickName="小明", openid=True)
    names = ("encryptedData", "iv") + ("rawData", "signature") * also_signed
    login = await strict.login(await simulator.code(), **{name: profile[name] for name in names})
    assert (login.status, login.data["user"]["nickname"]) == (200, "小明")


@pytest.mark.parametrize("kept", ["alice's", "bob's", "none"])
async def test_only_an_own_session_that_was_not_ended_lends_its_key(
    strict: Api, simulator: Simulator, kept: str
) -> None:
    session = await log_in(strict, simulator)
    profile = await simulator.profile("bob" if kept == "bob's" else "alice", nickName="小明")
    if kept == "bob's":
        await log_in(strict, simulator, "bob")
    if kept == "none":
        await strict.logout(session["sessionid"])
    login = await strict.login(await simulator.code(), **profile)
    if kept == "alice's":
        assert login.status == 200
    else:
        assert (login.status, login.code, login.data) == (400, 40005, {"relogin": True})


async def test_a_key_that_wechat_changed_behind_our_back_asks_for_a_login(
    api: Api, simulator: Simulator
) -> None:
    session = await log_in(api, simulator)
    await simulator.rotate_key()
    stale = await decrypt(api, session, await simulator.phone())
    assert (stale.code, stale.data) == (40005, {"relogin": True})
    session = await log_in(api, simulator)
    assert (await decrypt(api, session, await simulator.phone())).status == 200


async def test_wechat_can_be_asked_whether_the_key_is_still_good(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    probing = settings(wechat_api_base=(simulator.url,), probe_session_keys=True)
    async with running_service(probing) as api:
        session = await log_in(api, simulator)
        junk = {"encryptedData": "A" * 43 + "=", "iv": "A" * 22 + "=="}
        assert (await decrypt(api, session, junk)).data == {"relogin": False}
        await simulator.rotate_key()
        assert (await decrypt(api, session, junk)).data == {"relogin": True}


async def test_a_plus_that_became_a_space_is_mended(api: Api, simulator: Simulator) -> None:
    session = await log_in(api, simulator)
    while "+" not in (sealed := await simulator.phone())["encryptedData"]:
        pass
    broken = {name: text.replace("+", " ") for name, text in sealed.items()}
    assert (await decrypt(api, session, broken)).status == 200


@pytest.mark.bar("D2")
async def test_no_mutation_gets_more_than_the_one_answer(api: Api, simulator: Simulator) -> None:
    rng = random.Random(7)
    texts = set()
    for asked in range(1000):
        if asked % 25 == 0:  # before so many have failed that no more may
            user = f"user-{asked}"
            session = await log_in(api, simulator, user)
            sealed = await simulator.phone(user)
        mutated = {name: mutate(sealed[name], rng) for name in ("encryptedData", "iv")}
        answer = await api.ask("POST", "/decrypt", json=mutated, headers=session)
        if answer.status == 200:  # only the first block was hit, and stayed JSON
            assert answer.data["watermark"]["appid"] == APPID
            continue
        assert answer.status == 400
        assert answer.code in {40000, 40005}
        if answer.code == 40005:
            texts.add(answer.body["msg"])
            assert set(answer.data) == {"relogin"}
    assert len(texts) == 1


def mutate(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    match rng.randrange(5):
        case 0:
            return text[:at] + rng.choice("ABCxyz019+/= é") + text[at + 1 :]
        case 1:
            return text[:at]
        case 2:
            return text[:at] + text[at + 1 :]
        case 3:
            return text + rng.choice(["=", "A", "AAAA", "\n"])
        case _:
            return text


async def test_a_login_takes_a_profile_along(api: Api, simulator: Simulator) -> None:
    await log_in(api, simulator)  # so that there is a key to encrypt with
    code = await simulator.code()
    profile = await simulator.profile(nickName="小明", openid=True)
    login = await api.login(code, **profile)
    assert login.status == 200, login.body
    assert login.data["user"]["nickname"] == "小明"


async def test_everybodys_name_does_not_replace_a_users(api: Api, simulator: Simulator) -> None:
    await log_in(api, simulator)
    code = await simulator.code()
    login = await api.login(code, **await simulator.profile())
    assert login.status == 200
    assert login.data["user"]["nickname"].startswith("用户")


@pytest.mark.parametrize("field", ["encryptedData", "signature", "rawData"])
async def test_a_forged_profile_is_no_login(api: Api, simulator: Simulator, field: str) -> None:
    await log_in(api, simulator)
    code = await simulator.code()
    profile = await simulator.profile(nickName="小明", openid=True)
    forged = {**profile, field: profile[field][::-1]}
    refused = await api.login(code, **forged)
    assert (refused.status, refused.code) == (400, 40005)


async def test_half_a_pair_is_refused_before_the_code_is_spent(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    refused = await api.login(code, iv="x")
    assert (refused.code, refused.data["field"]) == (40000, "encryptedData")
    assert (await api.login(code)).status == 200
