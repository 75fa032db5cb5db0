"""What operators do to users: find, show, kick, delete; from the service and from a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service import wiring
from service.core.errors import InvalidRequest, UnknownAppid, UserNotFound
from service.core.models import handle_of
from service.wiring import open_admin
from tests.support.events import RecordedEvents
from tests.support.pictures import form, form_headers, honest, part
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from service.config.settings import Settings
    from service.core.admin import Admin
    from service.core.models import User
    from tests.support.running import Answer, Api, Simulator

BY = "ops"


@pytest.fixture
def own(settings: Callable[..., Settings], simulator: Simulator) -> Settings:
    return settings(
        wechat_api_base=(simulator.url,), login_coalesce_ms=0, device_classes=("phone", "pc")
    )


@pytest.fixture
async def api(own: Settings) -> AsyncIterator[Api]:
    async with running_service(own) as running:
        yield running


@pytest.fixture
def admin(api: Api) -> Admin:
    found: Admin = api.app.ctx.services.admin
    return found


@pytest.fixture
def events(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> RecordedEvents:
    recorded = RecordedEvents()
    for place in (admin, admin._deletion):
        monkeypatch.setattr(place, "_events", recorded)
    return recorded


async def log_in(api: Api, simulator: Simulator, user: str = "alice", device: str = "phone") -> Any:
    login = await api.login(await simulator.code(user), device=device)
    assert login.status == 200, login.body
    return login.data


async def ask(api: Api, login: Any) -> Answer:
    return await api.ask("GET", "/session", headers={"sessionid": login["sessionid"]})


async def test_a_user_is_found_by_what_an_operator_knows(
    api: Api, simulator: Simulator, admin: Admin
) -> None:
    login = await log_in(api, simulator)
    header = {"sessionid": login["sessionid"]}
    code = (await simulator.phone("alice", phone="13800000001"))["code"]
    assert (await api.ask("PUT", "/me/phone", json={"code": code}, headers=header)).status == 200
    await api.ask("PATCH", "/me", json={"nickname": "Zoë Wang"}, headers=header)
    await log_in(api, simulator, "bob")
    [identity] = (await admin.show(login["user"]["id"])).identities

    async def found(field: Any, value: str) -> list[User]:
        return list((await admin.find(field, value)).users)

    for field, value in (
        ("id", login["user"]["id"]),
        ("openid", f" {identity.openid} "),
        ("phone", "13800000001"),
        ("phone", "+86 13800000001"),
        ("phone", " 86 13800000001"),
        ("nickname", "Zoe\u0308 "),
    ):
        assert [one.id for one in await found(field, value)] == [login["user"]["id"]], value
    for field, value in (("phone", "+1 13800000001"), ("nickname", "zoë"), ("id", "nobody")):
        assert await found(field, value) == []


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("nickname", "", "nickname"),
        ("nickname", "a\0", "nickname"),
        ("nickname", "\ud83d", "nickname"),
        ("nickname", "x" * 65, "nickname"),
        ("openid", "o' OR 1=1", "openid"),
        ("unionid", "ü", "unionid"),
        ("id", "  ", "id"),
        ("phone", "+8613800000001", "phone"),
        ("phone", "138****0001", "phone"),
    ],
)
async def test_what_can_be_nobodys_is_refused_by_name(
    admin: Admin, field: Any, value: str, named: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await admin.find(field, value)
    assert refused.value.data is not None
    assert refused.value.data["field"] == named
    for limit in (0, 201):
        with pytest.raises(InvalidRequest):
            await admin.find("id", "x", limit=limit)


async def test_all_of_a_user_is_shown_and_no_secret(
    api: Api, simulator: Simulator, admin: Admin
) -> None:
    phone = await log_in(api, simulator)
    pc = await log_in(api, simulator, device="pc")
    user_id = phone["user"]["id"]
    await admin.kick(user_id, by=BY, device="pc")
    shown = await admin.show(user_id)
    assert shown.user.id == user_id
    [identity] = shown.identities
    assert identity.appid == APPID
    assert {(one.device, one.state) for one in shown.sessions} == {
        ("phone", "live"),
        ("pc", "kicked"),
    }
    for login in (phone, pc):
        handle, _, secret = login["sessionid"].partition(".")
        assert handle in {one.handle for one in shown.sessions}
        assert secret not in repr(shown)


async def test_a_kick_ends_what_it_names_and_counts_what_lived(
    api: Api, simulator: Simulator, admin: Admin, events: RecordedEvents
) -> None:
    phone, pc = await log_in(api, simulator), await log_in(api, simulator, device="pc")
    bob = await log_in(api, simulator, "bob")
    user_id = phone["user"]["id"]
    with pytest.raises(UnknownAppid):
        await admin.kick(user_id, by=BY, appid="wxother")
    with pytest.raises(InvalidRequest):
        await admin.kick(user_id, by=BY, device="tv")
    assert await admin.kick(user_id, by=BY, device="pc", appid=APPID) == 1
    assert (await ask(api, pc)).code == 40103
    assert (await ask(api, phone)).status == 200
    assert await admin.kick(user_id, by=BY) == 1
    kicked = await ask(api, phone)
    assert kicked.code == 40103
    assert set(kicked.data) == {"at"}
    assert await admin.kick(user_id, by=BY) == 0, "nobody is left"
    assert (await ask(api, bob)).status == 200
    [identity] = (await admin.show(user_id)).identities
    assert [(one.event, one.user, one.handle, one.device, one.by) for one in events.told] == [
        ("kicked", user_id, handle_of(APPID, identity.openid, device), device, BY)
        for device in ("pc", "phone")
    ]
    assert (await ask(api, await log_in(api, simulator))).status == 200, "no ban"


async def test_a_deletion_leaves_nothing_and_the_second_finds_nobody(
    api: Api, simulator: Simulator, admin: Admin, events: RecordedEvents, tmp_path: Path
) -> None:
    phone, pc = await log_in(api, simulator), await log_in(api, simulator, device="pc")
    bob = await log_in(api, simulator, "bob")
    headers = {"sessionid": phone["sessionid"]} | form_headers()
    picture = form(part(honest((90, 60))))
    assert (await api.ask("POST", "/me/avatar", data=picture, headers=headers)).status == 200
    user_id = phone["user"]["id"]
    await admin.delete(user_id, by=BY)
    assert [(await ask(api, one)).code for one in (phone, pc)] == [40102, 40102]
    assert list((tmp_path / "avatars").rglob("*.jpg")) == []
    with pytest.raises(UserNotFound):
        await admin.delete(user_id, by=BY)
    assert [(one.event, one.user, one.by) for one in events.told] == [
        ("account_deleted", user_id, BY)
    ]
    assert (await ask(api, bob)).status == 200
    assert (await log_in(api, simulator))["user"]["id"] != user_id


async def test_the_users_own_deletion_is_told_once_and_by_nobody_else(
    api: Api, simulator: Simulator, events: RecordedEvents
) -> None:
    login = await log_in(api, simulator)
    header = {"sessionid": login["sessionid"]}
    assert (await api.ask("DELETE", "/me", headers=header)).status == 200
    assert [(one.event, one.user, one.by) for one in events.told if one.user] == [
        ("account_deleted", login["user"]["id"], "")
    ]


async def test_a_command_does_the_same_to_a_running_service_and_asks_nothing_of_wechat(
    api: Api, own: Settings, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await log_in(api, simulator)
    user_id = login["user"]["id"]

    def no_http(*_: object) -> None:
        raise AssertionError("a command opened a client of WeChat's")

    monkeypatch.setattr(wiring, "open_http", no_http)
    async with open_admin(own) as opened:
        admin = opened.admin
        assert [one.id for one in (await admin.find("id", user_id)).users] == [user_id]
        assert (await admin.ban(user_id, by="cli:root"))[1] == 1
    assert (await ask(api, login)).code == 40300
    assert (await api.login(await simulator.code(), device="phone")).code == 40300
    async with open_admin(own) as opened:
        await opened.admin.unban(user_id, by="cli:root")
    assert (await ask(api, login)).code == 40102
    again = await log_in(api, simulator)
    async with open_admin(own) as opened:
        assert await opened.admin.kick(user_id, by="cli:root") == 1
        await opened.admin.delete(user_id, by="cli:root")
    assert (await ask(api, again)).code == 40102
