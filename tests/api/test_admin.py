"""The admin API over a socket: what it asks of whom, and how the answers look."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import pytest

from service.core.admin import UserDetails
from service.core.errors import SessionStoreUnavailable, UnknownAppid
from service.core.events import HOW_COUNTED
from service.core.models import Ban
from tests.support.admin import (
    EVENT,
    SESSION,
    USER_ID,
    RememberedEvents,
    RememberingAdmin,
    somebody,
)
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api

SECRET = "Vq8Zk2nT7cXw4pRj9sLb6mYd3gHf5aEu"
HEADERS = {"Authorization": f"Bearer {SECRET}"}
USER = {
    "id": USER_ID,
    "nickname": "Alice",
    "avatar": "/uploads/a.jpg",
    "phone": "138****0001",
    "ban": None,
    "createdAt": 1_780_000_000,
    "updatedAt": 1_780_000_001,
}
LATER = int(time.time()) + 86400


def banned(until: int | None, reason: str) -> dict[str, object]:
    return {**USER, "ban": {"at": 1_790_000_000, "until": until, "reason": reason}}


class Desk:
    """An operator's view of a running service, whose use cases are remembered."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.admin = RememberingAdmin()
        self.events = RememberedEvents([EVENT._replace(id=f"{n}-0") for n in range(500, 0, -1)])
        self.replace(admin=self.admin, event_history=self.events)

    def replace(self, **services: Any) -> None:
        context = self.api.app.ctx
        context.services = dataclasses.replace(context.services, **services)

    async def ask(self, method: str, path: str, **ask: Any) -> Answer:
        return await self.api.ask(method, f"/admin{path}", headers=HEADERS, **ask)


@pytest.fixture
async def desk(settings: Callable[..., Settings]) -> AsyncIterator[Desk]:
    async with running_service(settings(admin_tokens=f"alice:{SECRET}")) as api:
        yield Desk(api)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", USER_ID),
        ("openid", "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"),
        ("unionid", "u-1"),
        ("phone", "13800000001"),
        ("phone", "+44 7400123456"),
        ("phone", " 44 7400123456"),
        ("nickname", "张 三"),
        ("nickname", "100%_"),
        ("nickname", "n" * 32),
    ],
)
async def test_a_user_is_found_by_any_of_five_fields(desk: Desk, field: str, value: str) -> None:
    found = await desk.ask("GET", "/users", params={field: value})
    assert found.status == 200, found.body
    assert found.data == {"users": [USER], "next": "more"}
    assert desk.admin.asked == [("find", field, value, 50, "")]
    params = {field: value, "limit": "200", "after": found.data["next"]}
    rest = await desk.ask("GET", "/users", params=params)
    assert rest.data["next"] is None
    assert desk.admin.asked[1] == ("find", field, value, 200, "more")


async def test_a_user_is_shown_with_all_that_may_be_seen(desk: Desk) -> None:
    shown = await desk.ask("GET", f"/users/{USER_ID}")
    assert shown.data == {
        "user": USER,
        "identities": [
            {"appid": "wxa", "openid": "o1", "unionid": None},
            {"appid": "wxb", "openid": "o2", "unionid": "u2"},
        ],
        "sessions": [
            {
                "handle": SESSION.handle,
                "appid": "wxa",
                "device": "default",
                "issuedAt": SESSION.issued_at,
                "expiresIn": 3600,
                "state": "live",
                "keyLost": False,
            }
        ],
        "events": [
            {
                "id": EVENT.id,
                "at": EVENT.at,
                "event": "login",
                "user": USER_ID,
                "handle": EVENT.handle,
                "appid": "wxa",
                "requestId": "r-1",
            }
        ],
        "why": [
            {
                "at": 1_790_000_000_789,
                "handle": SESSION.handle,
                "zh": "已退出登录。",
                "en": "Logged out.",
            }
        ],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "asked", "answered"),
    [
        ("POST", "/kick", None, ("kick", "alice", None, None), {"ended": 2}),
        ("POST", "/kick", {}, ("kick", "alice", None, None), {"ended": 2}),
        (
            "POST",
            "/kick",
            {"appid": "wxa", "device": "pc"},
            ("kick", "alice", "wxa", "pc"),
            {"ended": 2},
        ),
        (
            "POST",
            "/ban",
            None,
            ("ban", "alice", "", None),
            {"user": banned(None, ""), "ended": 1},
        ),
        (
            "POST",
            "/ban",
            {"reason": "发广告 🚫", "until": LATER},
            ("ban", "alice", "发广告 🚫", LATER),
            {
                "user": {
                    **USER,
                    "ban": {"at": 1_790_000_000, "until": LATER, "reason": "发广告 🚫"},
                },
                "ended": 1,
            },
        ),
        ("POST", "/unban", None, ("unban", "alice"), {"user": USER}),
        ("DELETE", "", None, ("delete", "alice"), {"deleted": True}),
    ],
)
async def test_what_is_done_to_a_user_is_done_in_the_operators_name(
    desk: Desk, method: str, path: str, body: Any, asked: tuple[Any, ...], answered: Any
) -> None:
    sent = {} if body is None else {"json": body}
    done = await desk.ask(method, f"/users/{USER_ID}{path}", **sent)
    assert (done.status, done.data) == (200, answered)
    assert desk.admin.asked == [(USER_ID, *asked)]
    nobody = await desk.ask(method, f"/users/nobody{path}", **sent)
    assert (nobody.status, nobody.code) == (404, 40401)


async def test_a_ban_is_shown_while_it_holds(desk: Desk) -> None:
    shown = []
    for until in (None, LATER, 1_600_000_000):
        found = UserDetails(somebody(Ban(1_790_000_000, until, "广告")), [], [], [])

        async def show(_: str, found: UserDetails = found) -> UserDetails:
            return found

        desk.admin.show = show  # type: ignore[method-assign, assignment]
        shown.append((await desk.ask("GET", f"/users/{USER_ID}")).data["user"]["ban"])
    forever = {"at": 1_790_000_000, "until": None, "reason": "广告"}
    assert shown == [forever, {**forever, "until": LATER}, None]


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, (None, None, None)),
        ({"appid": "wxa"}, ("wxa", None, None)),
        (
            {"appid": "wxa", "device": "pc", "before": 1_790_000_000_000},
            ("wxa", "pc", 1_790_000_000_000),
        ),
    ],
)
async def test_all_sessions_that_match_are_ended(
    desk: Desk, body: dict[str, Any], asked: tuple[Any, ...]
) -> None:
    ended = await desk.ask("POST", "/sessions/end", json=body)
    assert ended.data == {"before": 1_790_000_000_000, "holdsFrom": 1_790_000_002_000}
    assert desk.admin.asked == [("end_sessions", "alice", *asked)]


async def test_nobody_ends_all_sessions_by_saying_nothing(desk: Desk) -> None:
    for sent in ({}, {"json": {"appid": ""}}, {"json": {"app": "wxa"}}, {"data": "appid=wxa"}):
        refused = await desk.ask("POST", "/sessions/end", **sent)
        assert refused.status in {400, 415}, sent
    assert desk.admin.asked == []


async def test_sessions_are_counted_and_it_is_said_how(desk: Desk) -> None:
    counted = await desk.ask("GET", "/sessions/count", params={"appid": APPID})
    assert counted.data == {"count": 7, "how": HOW_COUNTED}
    await desk.ask("GET", "/sessions/count", params={"appid": APPID, "device": "default"})
    assert desk.events.asked == [
        {"appid": APPID, "device": ""},
        {"appid": APPID, "device": "default"},
    ]
    other = await desk.ask("GET", "/sessions/count", params={"appid": "wxother"})
    assert (other.status, other.code) == (400, UnknownAppid.code)
    device = await desk.ask("GET", "/sessions/count", params={"appid": APPID, "device": "pc"})
    assert (device.code, device.data["field"]) == (40000, "device")


async def test_events_are_told_page_by_page(desk: Desk) -> None:
    found = await desk.ask("GET", "/events")
    assert len(found.data["events"]) == 100
    assert found.data["next"] == found.data["events"][-1]["id"] == "401-0"
    params = {
        "user": USER_ID,
        "event": "kicked",
        "since": "1790000000000",
        "limit": "500",
        "before": "401-0",
    }
    assert (await desk.ask("GET", "/events", params=params)).status == 200
    assert desk.events.asked[1] == {
        "user": USER_ID,
        "event": "kicked",
        "since": 1_790_000_000_000,
        "limit": 500,
        "before": "401-0",
    }
    desk.events.events = desk.events.events[:3]
    assert (await desk.ask("GET", "/events")).data["next"] is None


async def test_an_access_token_is_discarded(desk: Desk) -> None:
    for token in ("the-one", "another"):
        body = {"appid": APPID, "token": token}
        done = await desk.ask("POST", "/access-token/discard", json=body)
        assert done.data == {"discarded": token == "the-one"}
    assert desk.admin.asked[0] == ("discard_access_token", APPID, "the-one", "alice")


@pytest.mark.parametrize(
    ("method", "path", "sent", "field"),
    [
        ("GET", "/users", {}, "id"),
        ("GET", "/users", {"params": {"id": ""}}, "id"),
        ("GET", "/users", {"params": {"id": USER_ID, "phone": "13800000001"}}, "phone"),
        ("GET", "/users", {"params": {"id": "no id"}}, "id"),
        ("GET", "/users", {"params": {"id": "x" * 23}}, "id"),
        ("GET", "/users", {"params": {"openid": "o/../"}}, "openid"),
        ("GET", "/users", {"params": {"unionid": "ｕ"}}, "unionid"),
        ("GET", "/users", {"params": {"phone": "138 0000 0001"}}, "phone"),
        ("GET", "/users", {"params": {"phone": "+86"}}, "phone"),
        ("GET", "/users", {"params": {"phone": "１３８００００００１"}}, "phone"),
        ("GET", "/users", {"params": {"nickname": "n" * 33}}, "nickname"),
        ("GET", "/users", {"params": {"nickname": "a\x00b"}}, "nickname"),
        ("GET", "/users", {"params": {"id": USER_ID, "limit": "0"}}, "limit"),
        ("GET", "/users", {"params": {"id": USER_ID, "limit": "201"}}, "limit"),
        ("GET", "/users", {"params": {"id": USER_ID, "limit": "ten"}}, "limit"),
        ("GET", "/users", {"params": {"id": USER_ID, "limit": "-1"}}, "limit"),
        ("GET", "/users", {"params": {"id": USER_ID, "limit": "9" * 5000}}, "limit"),
        ("GET", "/users", {"params": {"id": USER_ID, "after": "a b"}}, "after"),
        ("GET", "/users", {"params": {"id": USER_ID, "offset": "3"}}, "offset"),
        ("GET", "/users/a%20b", {}, "id"),
        ("GET", "/users/" + "x" * 23, {}, "id"),
        ("POST", "/users/a%00b/kick", {}, "id"),
        ("POST", "/users/%E2%80%8B/ban", {}, "id"),
        ("POST", "/users/..%2Fx/unban", {}, "id"),
        ("DELETE", "/users/%27%20OR%201", {}, "id"),
        ("POST", f"/users/{USER_ID}/kick", {"json": {"appid": "a b"}}, "appid"),
        ("POST", f"/users/{USER_ID}/kick", {"json": {"appid": 1}}, "appid"),
        ("POST", f"/users/{USER_ID}/kick", {"json": {"appid": ""}}, "appid"),
        ("POST", f"/users/{USER_ID}/kick", {"json": {"device": "1st"}}, "device"),
        ("POST", f"/users/{USER_ID}/kick", {"json": {"devices": "pc"}}, "devices"),
        ("POST", f"/users/{USER_ID}/kick", {"json": []}, "body"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"reason": "r" * 201}}, "reason"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"reason": "a\nb"}}, "reason"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"reason": "a\u2028b"}}, "reason"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"reason": "\x1b[2J"}}, "reason"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"reason": 1}}, "reason"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"until": 1}}, "until"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"until": LATER * 1000}}, "until"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"until": str(LATER)}}, "until"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"until": True}}, "until"),
        ("POST", f"/users/{USER_ID}/ban", {"json": {"untill": LATER}}, "untill"),
        ("POST", "/sessions/end", {"json": {"before": 1_790_000_000}}, "before"),
        ("POST", "/sessions/end", {"json": {"before": 1_790_000_000_000.5}}, "before"),
        ("POST", "/sessions/end", {"json": {"device": "a\nb"}}, "device"),
        ("GET", "/sessions/count", {}, "appid"),
        ("GET", "/sessions/count", {"params": {"appid": "a b"}}, "appid"),
        ("GET", "/events", {"params": {"user": "a b"}}, "user"),
        ("GET", "/events", {"params": {"event": "logins"}}, "event"),
        ("GET", "/events", {"params": {"since": "1790000000"}}, "since"),
        ("GET", "/events", {"params": {"limit": "501"}}, "limit"),
        ("GET", "/events", {"params": {"before": "a\nb"}}, "before"),
        ("POST", "/access-token/discard", {"json": {"token": "t"}}, "appid"),
        ("POST", "/access-token/discard", {"json": {"appid": APPID}}, "token"),
        ("POST", "/access-token/discard", {"json": {"appid": APPID, "token": "a b"}}, "token"),
    ],
)
async def test_what_is_out_of_shape_is_named_and_nobody_is_asked(
    desk: Desk, method: str, path: str, sent: dict[str, Any], field: str
) -> None:
    refused = await desk.ask(method, path, **sent)
    assert (refused.status, refused.code) == (400, 40000), refused.body
    assert refused.data["field"] == field
    assert not desk.admin.asked
    assert not desk.events.asked


async def test_a_refused_access_token_is_not_repeated(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"appid": APPID, "token": "canary of a token"}
    refused = await desk.ask("POST", "/access-token/discard", json=body)
    assert "canary" not in str(refused.body) + capsys.readouterr().err


async def test_answers_are_not_kept_and_other_pages_get_none(desk: Desk) -> None:
    answer = await desk.ask("GET", "/settings")
    assert answer.headers["Cache-Control"] == "no-store"
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = await desk.api.ask("OPTIONS", "/admin/sessions/end", headers=asked)
    assert preflight.status == 405
    for one in (answer, preflight):
        assert not [name for name in one.headers if name.lower().startswith("access-control")]


async def test_a_store_that_is_away_is_a_503_and_no_wrong_answer(desk: Desk) -> None:
    async def away(**_: object) -> None:
        raise SessionStoreUnavailable

    desk.admin.end_sessions = away  # type: ignore[method-assign, assignment]
    answer = await desk.ask("POST", "/sessions/end", json={})
    assert (answer.status, answer.code) == (503, 50300)


async def test_settings_in_effect_are_shown_without_secrets(
    settings: Callable[..., Settings],
) -> None:
    configured = settings(
        admin_tokens=f"alice:{SECRET}",
        internal_token="internal-canary-Rj6Wq3mZ8xNc5tVb2kHs9",
        wechat_apps='[{"appid": "wx2", "secret": "another-canary"}]',
        session_ttl=60,
    )
    async with running_service(configured) as api:
        answer = await api.ask("GET", "/admin/settings", headers=HEADERS)
    shown = {one.pop("name"): one for one in answer.data["settings"]}
    assert list(shown) == [name.upper() for name in type(configured).model_fields]
    description = type(configured).model_fields["session_ttl"].description
    assert shown["SESSION_TTL"] == {
        "value": "60",
        "secret": False,
        "set": True,
        "isDefault": False,
        "description": description,
    }
    assert shown["REDIS_URL"] == {
        "value": None,
        "secret": True,
        "set": True,
        "isDefault": False,
        "description": type(configured).model_fields["redis_url"].description,
    }
    assert "canary" not in str(answer.body)
    assert SECRET not in str(answer.body)
