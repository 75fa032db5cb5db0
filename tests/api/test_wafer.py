"""The wire of wafer2; its client itself runs in tests/miniprogram/wafer2.test.js."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from service.core.errors import UserStoreUnavailable
from service.core.models import SessionId
from tests.api.test_guard import DEAD, PUBLIC
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

OLD_SKEY = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
"""SHA-1 in hexadecimal: what phones still hold from the wafer2 server."""


@pytest.fixture
async def old(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    """The service with WAFER_COMPAT; two logins in a row replace each other."""
    configured = settings(wechat_api_base=(simulator.url,), login_coalesce_ms=0, wafer_compat=True)
    async with running_service(configured) as running:
        yield running


async def log_in(api: Api, code: str, method: str = "GET", **headers: str) -> Answer:
    return await api.ask(method, "/weapp/login", headers={"X-WX-Code": code, **headers})


async def skey_of(api: Api, simulator: Simulator, user: str = "alice") -> str:
    answer = await log_in(api, await simulator.code(user))
    assert answer.status == 200, answer.body
    return str(answer.data["skey"])


async def show(api: Api, skey: str, path: str = "/weapp/user", **headers: str) -> Answer:
    return await api.ask("GET", path, headers={"X-WX-Skey": skey, **headers})


async def test_only_the_login_is_public(old: Api) -> None:
    public = {
        f"/{route.path}" for route in old.app.router.routes if getattr(route.ctx, "public", False)
    }
    assert public == PUBLIC | {"/weapp/login"}


async def test_nothing_of_it_is_there_unless_asked_for(api: Api, simulator: Simulator) -> None:
    code = await simulator.code()
    assert (await log_in(api, code)).status == 404
    sessionid = (await api.login(code)).data["sessionid"]
    assert (await show(api, sessionid)).status == 404
    refused = await show(api, sessionid, "/session")
    assert (refused.status, refused.code) == (401, 40100)
    dead = await show(api, "", "/session", sessionid=DEAD)
    assert (dead.status, dead.code) == (401, 40102)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_code_alone_logs_a_new_user_in(old: Api, simulator: Simulator, method: str) -> None:
    answer = await log_in(old, await simulator.code(), method)
    assert (answer.status, answer.code) == (200, 0)
    assert set(answer.data) == {"skey", "userinfo", "time"}
    assert abs(answer.data["time"] - time.time()) < 60
    verified = await show(old, answer.data["skey"], "/verify")
    me = (await show(old, answer.data["skey"], "/me")).data
    assert answer.data["userinfo"] == {
        "openId": verified.headers["X-Auth-Openid"],
        "nickName": me["nickname"],
        "gender": 0,
        "language": "zh_CN",
        "city": "",
        "province": "",
        "country": "",
        "avatarUrl": old.url + me["avatar"],
    }
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_picture_can_be_fetched(old: Api, simulator: Simulator) -> None:
    """From the network: a bare path would be a file of the mini-program's own package."""
    answer = await log_in(old, await simulator.code())
    async with old.http.get(answer.data["userinfo"]["avatarUrl"]) as picture:
        assert (picture.status, picture.content_type) == (200, "image/png")


async def test_in_production_the_picture_is_had_by_https(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    configured = settings(
        wechat_api_base=(simulator.url,), environment="production", wafer_compat=True
    )
    async with running_service(configured) as api:
        answer = await log_in(api, await simulator.code(), Host="login.example.com")
    address = answer.data["userinfo"]["avatarUrl"]
    assert address.startswith("https://login.example.com/uploads/")


async def test_a_profile_comes_along(old: Api, simulator: Simulator) -> None:
    code = await simulator.code()
    profile = await simulator.profile(nickName="小明", openid=True)
    encrypted = {"X-WX-Encrypted-Data": profile["encryptedData"], "X-WX-IV": profile["iv"]}
    answer = await log_in(old, code, **encrypted)
    assert answer.data["userinfo"]["nickName"] == "小明"
    shown = await show(old, answer.data["skey"])
    assert (shown.status, shown.code) == (200, 0)
    assert shown.data == answer.data["userinfo"]
    again = await log_in(old, await simulator.code())
    assert again.data["userinfo"] == answer.data["userinfo"]


async def test_an_empty_header_counts_as_none(old: Api, simulator: Simulator) -> None:
    empty = {"X-WX-Encrypted-Data": "", "X-WX-IV": "", "X-WX-Appid": ""}
    assert (await log_in(old, await simulator.code(), **empty)).status == 200


async def test_the_unionid_has_wafers_name(
    old: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The simulator's app belongs to no open-platform account.
    code2session = old.app.ctx.services.login._wechat.code2session

    async def with_unionid(*args: Any, **given: Any) -> Any:
        identity = await code2session(*args, **given)
        return type(identity)(identity.openid, identity.session_key, "u" * 28)

    monkeypatch.setattr(old.app.ctx.services.login._wechat, "code2session", with_unionid)
    answer = await log_in(old, await simulator.code())
    assert answer.data["userinfo"]["unionId"] == "u" * 28
    assert (await show(old, answer.data["skey"])).data["unionId"] == "u" * 28


async def test_an_skey_is_a_session_id_everywhere(old: Api, simulator: Simulator) -> None:
    skey = await skey_of(old, simulator)
    assert SessionId.parse(skey)
    for path in ("/session", "/me", "/verify", "/wx/products/list"):
        assert (await show(old, skey, path)).status == 200, path
    assert (await old.session(skey)).status == 200
    ended = await old.ask("POST", "/logout", headers={"X-WX-Skey": skey})
    assert ended.data == {"ended": True}
    assert (await show(old, skey)).status == 401
    sessionid = (await old.login(await simulator.code())).data["sessionid"]
    assert (await show(old, sessionid)).status == 200


@pytest.mark.parametrize(
    "form",
    [
        lambda sid: {"sessionid": sid},
        lambda sid: {"X-Session-Id": sid},
        lambda sid: {"Authorization": f"Bearer {sid}"},
    ],
)
async def test_a_header_of_our_own_beside_it_has_to_agree(
    old: Api, simulator: Simulator, form: Callable[[str], dict[str, str]]
) -> None:
    skey = await skey_of(old, simulator)
    assert (await show(old, skey, "/session", **form(skey))).status == 200
    assert (await show(old, OLD_SKEY, "/session", **form(skey))).status == 200
    for one, other in ((DEAD, skey), (skey, DEAD)):
        refused = await show(old, one, "/session", **form(other))
        assert (refused.status, refused.body["error"]) == (401, "session_malformed")


async def test_a_client_of_ours_hears_the_codes_it_knows(old: Api, simulator: Simulator) -> None:
    skey = await skey_of(old, simulator)
    for headers in ({}, {"sessionid": DEAD}, {"sessionid": DEAD, "X-WX-Skey": skey}):
        answer = await old.ask("GET", "/session", headers=headers)
        assert answer.status == 401
        assert answer.code in {40100, 40102, 40104}


@pytest.mark.parametrize("path", ["/weapp/user", "/session", "/verify", "/wx/products/list"])
async def test_a_dead_session_is_told_so_that_the_client_logs_in_again(
    old: Api, simulator: Simulator, path: str
) -> None:
    replaced = await skey_of(old, simulator)
    await skey_of(old, simulator)
    for skey, error in (
        (replaced, "session_replaced"),
        (DEAD, "session_expired"),
        (OLD_SKEY, "session_malformed"),
    ):
        answer = await show(old, skey, path)
        assert (answer.status, answer.code, answer.body["error"]) == (401, -1, error)
        assert f'error="{error}"' in answer.headers["WWW-Authenticate"]


async def test_two_skeys_are_none(old: Api, simulator: Simulator) -> None:
    skey = await skey_of(old, simulator)
    headers = [("X-WX-Skey", skey), ("X-WX-Skey", skey)]
    answer = await old.ask("GET", "/weapp/user", headers=headers)
    assert (answer.status, answer.body["error"]) == (401, "session_malformed")


async def test_without_a_session_the_client_logs_in(old: Api) -> None:
    answer = await old.ask("GET", "/weapp/user")
    assert (answer.status, answer.code, answer.body["error"]) == (401, -1, "session_missing")


async def test_an_outage_makes_nobody_log_in_again(
    settings: Callable[..., Settings],
) -> None:
    """To the client -1 would mean just that, whatever the status."""
    gone = settings(redis_url="redis://127.0.0.1:1", wafer_compat=True)
    async with running_service(gone) as api:
        for path in ("/weapp/user", "/session", "/verify"):
            answer = await show(api, DEAD, path)
            assert (answer.status, answer.code) == (503, 50300), path
            assert answer.headers["Retry-After"] == "1"
        login = await log_in(api, "0code")
        assert (login.status, login.code) == (503, -1)
        assert login.body["error"] == "session_store_unavailable"
        assert login.headers["Retry-After"] == "1"


async def test_nor_does_one_of_the_users(
    old: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    skey = await skey_of(old, simulator)

    async def away(*_: object) -> None:
        raise UserStoreUnavailable

    monkeypatch.setattr(old.app.ctx.services.profiles, "show", away)
    answer = await show(old, skey)
    assert (answer.status, answer.code) == (503, 50301)


async def test_nor_does_a_ban(old: Api, simulator: Simulator) -> None:
    skey = await skey_of(old, simulator)
    await old.app.ctx.services.sessions.terminate(skey.partition(".")[0], "banned")
    answer = await show(old, skey)
    assert (answer.status, answer.code) == (403, 40300)


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"X-WX-Code": ""}, 400, "invalid_request"),
        ({"X-WX-Code": "0" * 129}, 400, "invalid_request"),
        ({"X-WX-Code": "0nobody-has-this"}, 400, "login_code_invalid"),
        ({"X-WX-Code": "<fresh>", "X-WX-IV": "AAAA"}, 400, "invalid_request"),
        (
            {"X-WX-Code": "<fresh>", "X-WX-IV": "A" * 24, "X-WX-Encrypted-Data": "A" * 64},
            400,
            "decrypt_failed",
        ),
        ({"X-WX-Code": "<fresh>", "X-WX-Appid": "wxffffffffffffffff"}, 400, "unknown_appid"),
        (
            {
                "X-WX-Code": "<fresh>",
                "Referer": "https://servicewechat.com/wxffffffffffffffff/0/page-frame.html",
            },
            400,
            "unknown_appid",
        ),
    ],
)
async def test_a_login_is_refused_in_wafers_form(
    old: Api, simulator: Simulator, headers: dict[str, str], status: int, error: str
) -> None:
    fresh = await simulator.code()
    given = {name: fresh if value == "<fresh>" else value for name, value in headers.items()}
    answer = await old.ask("GET", "/weapp/login", headers=given)
    assert (answer.status, answer.code, answer.body["error"]) == (status, -1, error)
    assert not (answer.data or {}).get("skey")
    if error == "invalid_request":
        assert answer.data["field"].startswith(("X-WX-", "encryptedData"))
        assert await simulator.exchanges() == 0
    if error == "unknown_appid":
        assert (await log_in(old, fresh, **{"X-WX-Appid": APPID})).status == 200


async def test_a_code_works_once(old: Api, simulator: Simulator) -> None:
    code = await simulator.code()
    answers = await asyncio.gather(*(log_in(old, code) for _ in range(5)))
    assert sorted(answer.code for answer in answers) == [-1] * 4 + [0]
    assert {one.body["error"] for one in answers if one.code} == {"login_code_used"}
    assert await simulator.exchanges() == 1


async def test_a_wechat_that_fails_is_a_refusal_with_a_true_status(
    old: Api, simulator: Simulator
) -> None:
    await simulator.fault("html_502")
    answer = await log_in(old, await simulator.code())
    assert (answer.status, answer.code) == (502, -1)
    assert answer.body["error"] == "wechat_unavailable"


async def test_ten_logins_at_launch_share_one_session(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    configured = settings(wechat_api_base=(simulator.url,), wafer_compat=True)
    async with running_service(configured) as api:
        skeys = await asyncio.gather(*(skey_of(api, simulator) for _ in range(10)))
        assert len(set(skeys)) == 1
        answers = await asyncio.gather(*(show(api, skey) for skey in skeys))
    assert {answer.status for answer in answers} == {200}


async def test_nothing_of_the_headers_is_logged(
    settings: Callable[..., Settings],
    simulator: Simulator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured = settings(
        wechat_api_base=(simulator.url,), wafer_compat=True, log_level="DEBUG", access_log=True
    )
    codes = [await simulator.code() for _ in range(3)]
    profile = await simulator.profile()
    encrypted = {"X-WX-Encrypted-Data": profile["encryptedData"], "X-WX-IV": profile["iv"]}
    async with running_service(configured) as api:
        skey = (await log_in(api, codes[2], **encrypted)).data["skey"]
        await log_in(api, codes[2], **encrypted)  # used
        bobs = await simulator.profile("bob")
        await log_in(  # another key
            api, codes[0], **{"X-WX-Encrypted-Data": bobs["encryptedData"], "X-WX-IV": bobs["iv"]}
        )
        await log_in(api, "0" * 9000)  # more than headers may be
        await show(api, skey)
        await show(api, skey, "/nowhere")
        await show(api, skey[::-1])

        def broken(request: Any) -> None:
            raise RuntimeError(f"with {request}")

        monkeypatch.setattr(api.app.ctx.services.login, "log_in", broken)
        assert (await log_in(api, codes[1])).code == 50000
    logged = capsys.readouterr().err
    for path, status in (("login", 200), ("login", 400), ("user", 200)):
        assert f"answered method=GET route=/weapp/{path} status={status} " in logged
    assert "with " in logged
    assert "decrypt failed" in logged
    for secret in (*codes, skey, skey.partition(".")[2], *encrypted.values()):
        assert secret not in logged
