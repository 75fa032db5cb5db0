"""Ways into somebody else's account, tried over HTTP in two mini-programs of one studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.simulator.crypto import encrypt
from service.simulator.state.identities import openid_of
from tests.api.test_apps import A, B, studio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.api.test_apps import Studio
    from tests.support.running import Answer

NUMBER = "13800000001"


@pytest.fixture
async def apart(settings: Callable[..., Settings]) -> AsyncIterator[Studio]:
    """The mini-programs are bound to no open platform: nobody has a unionid."""
    async with studio(settings) as found:
        yield found


@pytest.fixture
async def together(settings: Callable[..., Settings]) -> AsyncIterator[Studio]:
    """They are bound to one, so that everybody has a unionid."""
    async with studio(settings, platform="studio") as found:
        yield found


async def by_phone(found: Studio, appid: str, user: str, number: str = NUMBER) -> Answer:
    pressed = await found.simulator.phone(user, appid=appid, phone=number)
    login_code = found.world.log_in(user=user, appid=appid)
    body = {"code": pressed["code"], "loginCode": login_code, "appid": appid}
    return await found.api.ask("POST", "/login/phone", json=body)


async def squat(found: Studio, appid: str) -> str:
    """Mallory binds the number by encryptedData, as by a forged one; returns Mallory's user."""
    login = await found.log_in(appid, "mallory")
    pressed = await found.simulator.phone("mallory", appid=appid, phone=NUMBER)
    body = {name: pressed[name] for name in ("encryptedData", "iv")}
    session = {"sessionid": login.data["sessionid"]}
    bound = await found.api.ask("PUT", "/me/phone", json=body, headers=session)
    assert (bound.status, bound.data["phone"]) == (200, f"+86 {NUMBER}")
    return str(login.data["user"]["id"])


@pytest.mark.parametrize("victims_app", [A, B])
async def test_a_number_bound_beforehand_does_not_get_its_holders_account(
    apart: Studio, victims_app: str
) -> None:
    """The pre-hijack: who binds a victim's number waits for the victim to log in by it."""
    mallory = await squat(apart, A)
    victim = await by_phone(apart, victims_app, "victim")
    assert (victim.status, victim.data["isNewUser"]) == (200, True)
    assert victim.data["user"]["id"] != mallory
    assert victim.data["user"]["phone"] == "138****0001"
    again = await apart.log_in(A, "mallory")
    assert (again.data["user"]["id"], again.data["user"]["phone"]) == (mallory, None)


async def test_nobody_is_locked_out_of_a_number_that_somebody_else_has_bound(
    apart: Studio,
) -> None:
    victim = await apart.session(A, "victim")
    await squat(apart, A)
    pressed = await apart.simulator.phone("victim", appid=A, phone=NUMBER)
    body = {"code": pressed["code"]}
    bound = await apart.api.ask("PUT", "/me/phone", json=body, headers=victim)
    assert (bound.status, bound.data["phone"]) == (200, f"+86 {NUMBER}")


async def test_a_proven_number_is_not_lost_to_encrypted_data(apart: Studio) -> None:
    await by_phone(apart, A, "victim")
    login = await apart.log_in(A, "mallory")
    pressed = await apart.simulator.phone("mallory", appid=A, phone=NUMBER)
    body = {name: pressed[name] for name in ("encryptedData", "iv")}
    session = {"sessionid": login.data["sessionid"]}
    taken = await apart.api.ask("PUT", "/me/phone", json=body, headers=session)
    assert (taken.status, taken.code) == (409, 40900)


async def test_the_setting_takes_encrypted_data_for_a_proof(
    settings: Callable[..., Settings],
) -> None:
    async with studio(settings, phone_from_encrypted_data="join") as found:
        mallory = await squat(found, A)
        assert (await by_phone(found, B, "victim")).data["user"]["id"] == mallory


async def test_the_new_holder_of_a_number_does_not_get_the_old_ones_account(
    together: Studio,
) -> None:
    """WeChat's unionid says that they are two people, though the number is the same."""
    owner = await by_phone(together, A, "owner")
    taken = await by_phone(together, B, "newcomer")
    assert (taken.status, taken.code) == (409, 40900)
    assert (await by_phone(together, B, "owner")).data["user"]["id"] == owner.data["user"]["id"]


async def test_a_profile_with_anothers_unionid_does_not_get_their_account(
    together: Studio,
) -> None:
    victim = await together.log_in(A, "victim")
    unionid = together.world.unionid(user="victim", appid=A)
    # WeChat tells no unionid of Mallory here; the profile that comes along has the victim's.
    unbind(together.world, B)
    answer = await log_in_with(together, {"unionId": unionid})
    assert answer.status == 200
    assert answer.data["user"]["id"] != victim.data["user"]["id"]


def unbind(world: Any, appid: str) -> None:
    app = world.apps[appid]
    world.apps[appid] = type(app)(app.appid, app.secret, None)


async def log_in_with(found: Studio, ids: dict[str, str]) -> Answer:
    """Log Mallory in at B with a profile that has these, encrypted as WeChat would have."""
    world = found.world
    code = world.log_in(user="mallory", appid=B)
    watermark = {"timestamp": int(world.clock()), "appid": B}
    openid = openid_of(appid=B, user="mallory")
    profile = {"openId": openid, "nickName": "Mallory", "gender": 0, "language": "zh_CN"}
    profile |= {"city": "", "province": "", "country": "", "avatarUrl": ""}
    key = world.session_key(user="mallory", appid=B)
    sealed = encrypt({**profile, **ids, "watermark": watermark}, session_key=key, iv=bytes(16))
    return await found.api.ask("POST", "/login", json={"code": code, "appid": B, **sealed})
