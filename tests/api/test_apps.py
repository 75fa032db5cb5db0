"""Several mini-programs behind one service: nothing of one reads or spends the other's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
from pydantic import SecretStr

from service.config.settings import AppEntry as ServedApp
from service.core.models import WeChatIdentity, handle_of
from service.simulator.app import create_app as create_simulator
from service.simulator.control import handset
from service.simulator.endpoints import getuserphonenumber
from service.simulator.settings import AppEntry, SimulatorSettings
from service.simulator.state import world
from service.stores import sessions
from service.wechat import client
from tests.support.running import Api, Simulator, running, running_service, running_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer

A: Final = "wxaaaaaaaaaaaaaaaa"
B: Final = "wxbbbbbbbbbbbbbbbb"
SECRETS: Final = {A: "secret-of-a-4f5e6d7c", B: "secret-of-b-8a9b0c1d"}
TOKEN: Final = "internal-token-canary-0123456789abcdef"
OPENID: Final = "oTheSameInEveryMiniProgram00"


@dataclass
class Studio:
    """A service of two mini-programs, and their users' phones."""

    api: Api
    simulator: Simulator
    world: Any

    async def log_in(
        self, appid: str, user: str = "alice", *, headers: dict[str, str] | None = None
    ) -> Answer:
        code = self.world.log_in(user=user, appid=appid)
        body = {"code": code} if headers else {"code": code, "appid": appid}
        return await self.api.ask("POST", "/login", json=body, headers=headers or {})

    async def session(self, appid: str, user: str = "alice") -> dict[str, str]:
        answer = await self.log_in(appid, user)
        assert answer.status == 200, answer.body
        return {"sessionid": answer.data["sessionid"]}

    async def caller(self, session: dict[str, str], **headers: str) -> tuple[str, str, str]:
        """Appid, openid and user of a session, as a gateway learns them."""
        shown = await self.api.ask("GET", "/verify", headers={**session, **headers})
        assert shown.status == 200, shown.body
        names = ("X-Auth-Appid", "X-Auth-Openid", "X-Auth-Request-User")
        return tuple(shown.headers[name] for name in names)

    async def decrypt(self, session: dict[str, str], appid: str, **headers: str) -> Answer:
        """Open what was encrypted for the user in that mini-program."""
        sealed = await self.simulator.phone("alice", appid=appid)
        body = {name: sealed[name] for name in ("encryptedData", "iv")}
        return await self.api.ask("POST", "/decrypt", json=body, headers={**session, **headers})

    async def token(
        self, appid: str | None = None, token: str | None = TOKEN, **more: str
    ) -> Answer:
        return await self.api.ask(
            "GET",
            "/internal/access-token",
            params={"appid": appid, **more} if appid else more,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )


@asynccontextmanager
async def studio(
    settings: Callable[..., Settings], *, platform: str | None = None, **overrides: Any
) -> AsyncIterator[Studio]:
    entries = tuple(
        AppEntry(appid=appid, secret=SecretStr(secret), platform=platform)
        for appid, secret in SECRETS.items()
    )
    app = create_simulator(settings=SimulatorSettings(apps=entries, session_key_interval_seconds=0))
    async with running(app) as url, aiohttp.ClientSession() as http:
        values = {
            "wechat_appid": None,
            "wechat_secret": None,
            "wechat_apps": tuple(
                ServedApp(appid=appid, secret=SecretStr(secret))
                for appid, secret in SECRETS.items()
            ),
            "wechat_api_base": (url,),
            "login_coalesce_ms": 0,
            "internal_token": TOKEN,
            **overrides,
        }
        async with running_service(settings(**values)) as api:
            yield Studio(api, Simulator(url, http), app.ctx.world)


@pytest.fixture
def one_openid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has WeChat call everybody the same in both mini-programs: its openids are no secrets."""
    for module in (world, handset, getuserphonenumber):
        monkeypatch.setattr(module, "openid_of", lambda **_: OPENID)


@pytest.fixture
async def twins(
    settings: Callable[..., Settings],
    one_openid: None,  # noqa: ARG001 # patches first
) -> AsyncIterator[Studio]:
    async with studio(settings) as found:
        yield found


async def test_one_openid_in_two_apps_is_two_users_with_a_session_each(twins: Studio) -> None:
    first, second = await twins.log_in(A), await twins.log_in(B)
    assert (first.data["isNewUser"], second.data["isNewUser"]) == (True, True)
    here, there = ({"sessionid": one.data["sessionid"]} for one in (first, second))
    shown = [await twins.caller(session) for session in (here, there)]
    assert [one[:2] for one in shown] == [(A, OPENID), (B, OPENID)]
    assert shown[0][2] != shown[1][2]
    # Either login ends the sessions of its own mini-program only.
    await twins.session(B)
    assert await twins.caller(here) == shown[0]
    replaced = await twins.api.ask("GET", "/verify", headers=there)
    assert (replaced.status, replaced.code) == (401, 40101)


async def test_a_handle_without_the_appid_would_make_them_one(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, one_openid: None
) -> None:
    _ = one_openid
    monkeypatch.setattr(
        sessions, "handle_of", lambda _, openid, device: handle_of("", openid, device)
    )
    async with studio(settings) as found:
        here = await found.session(A)
        await found.session(B)
        assert (await found.api.ask("GET", "/verify", headers=here)).code == 40101


TRICKS: Final = {
    "X-WX-Appid": B,
    "X-Wx-Openid": "oSomebodyElse",
    "X-WX-Unionid": "uSomebodyElse",
    "X-Auth-Appid": B,
    "X-Auth-Openid": "oSomebodyElse",
    "X-Auth-Request-User": "somebody else",
    "Referer": f"https://servicewechat.com/{B}/7/page-frame.html",
}


async def test_no_header_or_body_makes_a_session_of_one_app_the_others(twins: Studio) -> None:
    mine = await twins.session(A)
    theirs = await twins.session(B)
    owner, other = await twins.caller(mine), await twins.caller(theirs)
    assert owner[2] != other[2]
    for name, value in TRICKS.items():
        assert await twins.caller(mine, **{name: value}) == owner
    assert await twins.caller(mine, **TRICKS) == owner
    for path in ("/me", "/me/export", "/session"):
        answer = await twins.api.ask(
            "GET", path, headers={**mine, **TRICKS}, params={"appid": B, "openid": OPENID}
        )
        assert answer.status == 200
        assert other[2] not in str(answer.body)
        assert B not in str(answer.body)
    renamed = await twins.api.ask(
        "PATCH",
        "/me",
        json={"nickname": "A only", "appid": B, "id": other[2], "userId": other[2]},
        headers={**mine, **TRICKS},
    )
    assert renamed.data["id"] == owner[2]
    untouched = await twins.api.ask("GET", "/me", headers=theirs)
    assert untouched.data["nickname"] != "A only"
    await twins.api.ask("POST", "/logout", json={"appid": B}, headers={**mine, **TRICKS})
    assert await twins.caller(theirs) == other


async def test_a_secret_of_one_app_opens_no_handle_of_the_other(twins: Studio) -> None:
    mine, theirs = await twins.session(A), await twins.session(B)
    handles = [session["sessionid"].partition(".") for session in (mine, theirs)]
    crossed = f"{handles[1][0]}.{handles[0][2]}"
    answer = await twins.api.ask("GET", "/session", headers={"sessionid": crossed})
    assert (answer.status, answer.code) == (401, 40102)


async def test_a_code_of_one_app_is_none_of_the_other(twins: Studio) -> None:
    code = twins.world.log_in(user="alice", appid=A)
    refused = await twins.api.ask("POST", "/login", json={"code": code, "appid": B})
    assert (refused.status, refused.code) == (400, 40001)
    assert (await twins.api.ask("POST", "/login", json={"code": code, "appid": A})).status == 200


async def test_a_phone_code_of_one_app_is_none_of_the_other(twins: Studio) -> None:
    session = await twins.session(A)
    foreign = await twins.simulator.phone("alice", appid=B)
    refused = await twins.api.ask(
        "PUT", "/me/phone", json={"code": foreign["code"]}, headers={**session, **TRICKS}
    )
    assert refused.status >= 400
    assert (await twins.api.ask("GET", "/me", headers=session)).data["phone"] is None


async def test_what_wechat_encrypted_for_one_app_does_not_open_in_the_others_session(
    twins: Studio,
) -> None:
    mine, theirs = await twins.session(A), await twins.session(B)
    assert (await twins.decrypt(mine, A)).data["watermark"]["appid"] == A
    assert (await twins.decrypt(theirs, B)).data["watermark"]["appid"] == B
    for session, foreign in ((mine, B), (theirs, A)):
        for headers in ({}, TRICKS):
            refused = await twins.decrypt(session, foreign, **headers)
            assert (refused.status, refused.code) == (400, 40005)


async def test_nor_does_it_if_both_apps_had_one_session_key(twins: Studio) -> None:
    """So that only the watermark tells them apart."""
    mine = await twins.session(A)
    keys = twins.world.session_keys._keys
    keys[B, "alice"] = keys[A, "alice"]
    refused = await twins.decrypt(mine, B)
    assert (refused.status, refused.code, refused.data) == (400, 40005, {"relogin": True})
    sealed = await twins.simulator.phone("alice", appid=B)
    body = {name: sealed[name] for name in ("encryptedData", "iv")}
    bound = await twins.api.ask("PUT", "/me/phone", json=body, headers=mine)
    assert (bound.status, bound.code) == (400, 40005)
    assert (await twins.decrypt(mine, A)).status == 200


async def test_without_unionid_or_phone_one_person_is_two_users(
    settings: Callable[..., Settings],
) -> None:
    async with studio(settings) as found:
        here, there = await found.log_in(A), await found.log_in(B)
        assert here.data["user"]["id"] != there.data["user"]["id"]


async def test_apps_of_one_platform_share_the_person_and_not_the_session(
    settings: Callable[..., Settings],
) -> None:
    async with studio(settings, platform="studio") as found:
        here, there = await found.log_in(A), await found.log_in(B)
        assert here.data["user"] == there.data["user"]
        assert (here.data["isNewUser"], there.data["isNewUser"]) == (True, False)
        stranger = await found.log_in(B, "bob")
        assert stranger.data["user"]["id"] != here.data["user"]["id"]
        sessions = [{"sessionid": one.data["sessionid"]} for one in (here, there)]
        shown = [await found.caller(session) for session in sessions]
        assert [one[0] for one in shown] == [A, B]
        assert shown[0][1] != shown[1][1]
        export = (await found.api.ask("GET", "/me/export", headers=sessions[0])).data
        assert {one["appid"] for one in export["identities"]} == {A, B}
        # Who leaves, leaves both.
        gone = await found.api.ask("DELETE", "/me", headers=sessions[0])
        assert gone.status == 200
        for session in sessions:
            assert (await found.api.ask("GET", "/verify", headers=session)).status == 401


async def test_without_the_unionid_they_would_be_two(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = client._identity

    def forget(answer: dict[str, Any]) -> WeChatIdentity:
        identity = genuine(answer)
        return WeChatIdentity(identity.openid, identity.session_key)

    monkeypatch.setattr(client, "_identity", forget)
    async with studio(settings, platform="studio") as found:
        here, there = await found.log_in(A), await found.log_in(B)
        assert here.data["user"]["id"] != there.data["user"]["id"]


@pytest.mark.parametrize(
    ("headers", "appid"),
    [
        ({"X-WX-Appid": A}, A),
        ({"X-WX-Appid": B}, B),
        ({"Referer": f"https://servicewechat.com/{A}/0/page-frame.html"}, A),
        ({"Referer": f"https://servicewechat.com/{B}/devtools/page-frame.html"}, B),
    ],
)
async def test_a_login_is_of_the_app_that_the_request_names(
    twins: Studio, headers: dict[str, str], appid: str
) -> None:
    answer = await twins.log_in(appid, headers=headers)
    assert answer.status == 200, answer.body
    assert (await twins.caller({"sessionid": answer.data["sessionid"]}))[0] == appid


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({}, {}),
        ({"appid": "wxunknown"}, {}),
        ({"appid": A.upper()}, {}),
        ({}, {"X-WX-Appid": "wxunknown"}),
        ({}, {"Referer": "https://servicewechat.com/wxunknown/1/page-frame.html"}),
        ({}, {"Referer": f"https://evil.example/https://servicewechat.com/{A}/1/"}),
        ({}, {"Referer": f"http://servicewechat.com/{A}/1/page-frame.html"}),
        ({}, {"Referer": f"https://servicewechat.com.evil.example/{A}/1/"}),
        ({"appid": "wxunknown"}, {"X-WX-Appid": A}),
    ],
)
async def test_without_a_known_app_the_code_is_not_spent(
    twins: Studio, body: dict[str, str], headers: dict[str, str]
) -> None:
    code = twins.world.log_in(user="alice", appid=A)
    refused = await twins.api.ask("POST", "/login", json={"code": code, **body}, headers=headers)
    assert (refused.status, refused.code) == (400, 40004)
    assert await twins.simulator.exchanges() == 0
    good = await twins.api.ask("POST", "/login", json={"code": code, "appid": A})
    assert good.status == 200


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-WX-Appid", [A, B]),
        ("X-WX-Appid", ["", A]),
        ("Referer", [f"https://servicewechat.com/{appid}/1/page-frame.html" for appid in (A, B)]),
    ],
)
async def test_two_apps_that_differ_are_none(twins: Studio, name: str, values: list[str]) -> None:
    for order in (values, values[::-1]):
        code = twins.world.log_in(user="alice", appid=A)
        headers = [(name, value) for value in order]
        refused = await twins.api.ask("POST", "/login", json={"code": code}, headers=headers)
        assert (refused.status, refused.code, refused.data["field"]) == (400, 40000, name)
    assert await twins.simulator.exchanges() == 0
    same = [(name, next(filter(None, values)))] * 2
    good = await twins.api.ask("POST", "/login", json={"code": code}, headers=same)
    assert good.status == 200


async def test_a_phone_code_of_another_app_is_no_code_and_counts(
    settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    async with studio(settings, limit_phone_codes_per_user="4/day") as twins:
        session = await twins.session(B)
        foreign = [(await twins.simulator.phone("alice", appid=A))["code"] for _ in range(2)]
        answers = [
            await twins.api.ask("PUT", "/me/phone", json={"code": code}, headers=session)
            for code in foreign * 3
        ]
        assert [answer.code for answer in answers] == [40003] * 4 + [42900] * 2
        assert await twins.simulator.calls(getuserphonenumber.PATH) == 4
        assert not [one for one in caplog.records if one.levelname == "ERROR"]
        here = await twins.session(A)  # whose limit is another
        bound = await twins.api.ask("PUT", "/me/phone", json={"code": foreign[0]}, headers=here)
        assert bound.status == 200


async def test_each_app_has_an_access_token_of_its_own(twins: Studio) -> None:
    here, there = await twins.token(A), await twins.token(B)
    assert here.status == there.status == 200
    assert here.data["accessToken"] != there.data["accessToken"]
    assert 7000 < here.data["expiresIn"] <= 7200
    assert here.headers["Cache-Control"] == "no-store"
    tokens = twins.world.tokens._tokens
    assert tokens[here.data["accessToken"]].appid == A
    assert tokens[there.data["accessToken"]].appid == B
    assert (await twins.token(A)).data["accessToken"] == here.data["accessToken"]
    assert await twins.simulator.calls("/cgi-bin/stable_token") == 2
    # One that is refused takes the other app's from nobody.
    await twins.simulator.fault("token_superseded", appid=A, times=1)
    session = await twins.session(A)
    phone = await twins.simulator.phone("alice", appid=A)
    bound = await twins.api.ask("PUT", "/me/phone", json={"code": phone["code"]}, headers=session)
    assert bound.status == 200
    assert (await twins.token(A)).data["accessToken"] != here.data["accessToken"]
    assert (await twins.token(B)).data["accessToken"] == there.data["accessToken"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN.upper()}",
        "Bearer \xe9\xff",
    ],
)
async def test_without_the_internal_token_nothing_is_told(
    twins: Studio, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    session = await twins.session(A)
    for appid in (A, "wxunknown", None):
        answer = await twins.api.ask(
            "GET",
            "/internal/access-token",
            params={"appid": appid} if appid else {},
            headers={**session, **headers},
        )
        assert (answer.status, answer.code, answer.data) == (403, 40302, None)
    assert await twins.simulator.calls("/cgi-bin/stable_token") == 0


async def test_a_token_that_is_said_to_be_dead_gives_way_and_a_newer_one_does_not(
    twins: Studio,
) -> None:
    """As a back end says to whom WeChat answered 40001."""
    dead, there = [(await twins.token(app)).data["accessToken"] for app in (A, B)]
    twins.world.tokens.void(twins.world.tokens._tokens[dead], now=twins.world.clock())
    newer = (await twins.token(A, dead=dead)).data["accessToken"]
    assert newer != dead
    assert await twins.simulator.calls("/cgi-bin/stable_token") == 3
    for said in (dead, there, f"{newer}x", newer[:-1], "", "\xe9"):
        assert (await twins.token(A, dead=said)).data["accessToken"] == newer
    assert (await twins.token(B)).data["accessToken"] == there
    assert await twins.simulator.calls("/cgi-bin/stable_token") == 3


async def test_nobody_else_can_discard_one(twins: Studio) -> None:
    kept = (await twins.token(A)).data["accessToken"]
    assert (await twins.token(A, "wrong", dead=kept)).status == 403
    assert (await twins.token(A)).data["accessToken"] == kept
    assert await twins.simulator.calls("/cgi-bin/stable_token") == 1


@pytest.mark.parametrize("other", ["Bearer wrong", "Basic x", ""])
async def test_two_tokens_that_differ_are_none(twins: Studio, other: str) -> None:
    right = f"Bearer {TOKEN}"
    for values, status in (
        ((right, other), 403),
        ((other, right), 403),
        ((right, right), 200),
    ):
        headers = [("Authorization", value) for value in values]
        answer = await twins.api.ask(
            "GET", "/internal/access-token", params={"appid": A}, headers=headers
        )
        assert answer.status == status, values


@pytest.mark.parametrize("appid", [None, "wxunknown", "", f"{A} "])
async def test_the_token_of_no_known_app_is_none(twins: Studio, appid: str | None) -> None:
    answer = await twins.token(appid)
    assert (answer.status, answer.code) == (400, 40004)


async def test_an_only_app_needs_no_naming_and_no_token_opens_nothing(
    settings: Callable[..., Settings],
) -> None:
    async with running_simulator() as simulator:
        base = {"wechat_api_base": (simulator.url,)}
        async with running_service(settings(**base, internal_token=TOKEN)) as api:
            headers = {"Authorization": f"bearer {TOKEN}"}
            answer = await api.ask("GET", "/internal/access-token", headers=headers)
            assert answer.status == 200
        async with running_service(settings(**base)) as api:
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
                answer = await api.ask("GET", "/internal/access-token", headers=headers)
                assert (answer.status, answer.code) == (403, 40302)
