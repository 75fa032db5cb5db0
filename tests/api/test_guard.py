"""Who may pass, and what they are told who may not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Api, Simulator

PUBLIC = {
    "/login",
    "/login/phone",
    "/loginByPhone",
    "/wx/onlogin",
    "/logout",
    "/livez",
    "/readyz",
    "/version",
    "/uploads/<name:str>",
    "/",  # this and the next three: the demo page, not there in production
    "/demo/<name:str>",
    "/demo/config.json",
    "/demo/minigate.js",
    "/internal/access-token",  # behind a token of its own
    "/metrics",  # for this machine, or behind METRICS_TOKEN
}
ADMIN_API = {  # behind ADMIN_TOKENS: test_operator_tokens.py
    "/admin/users",
    "/admin/users/<user_id:str>",
    "/admin/users/<user_id:str>/kick",
    "/admin/users/<user_id:str>/ban",
    "/admin/users/<user_id:str>/unban",
    "/admin/sessions/end",
    "/admin/sessions/count",
    "/admin/events",
    "/admin/overview",
    "/admin/settings",
    "/admin/access-token/discard",
}
ADMIN_PAGE = {"/admin", "/admin/page/<name:str>"}  # it asks for a token, and shows nothing without
OPERATORS_TOKEN = "Vq8Zk2nT7cXw4pRj9sLb6mYd3gHf5aEu"
DEAD = "B" * 22 + "." + "A" * 43


def public_routes(api: Api) -> set[str]:
    routes = api.app.router.routes
    return {f"/{route.path}" for route in routes if getattr(route.ctx, "public", False)}


async def test_exactly_these_routes_are_public(api: Api) -> None:
    assert public_routes(api) == PUBLIC


async def test_so_are_those_of_operators_who_have_no_session(
    settings: Callable[..., Settings],
) -> None:
    async with running_service(settings(admin_tokens=f"alice:{OPERATORS_TOKEN}")) as api:
        assert public_routes(api) == PUBLIC | ADMIN_API | ADMIN_PAGE


@pytest.mark.bar("D8")
async def test_every_other_route_turns_strangers_away(api: Api) -> None:
    protected = [
        (method, f"/{route.path}")
        for route in api.app.router.routes
        if not getattr(route.ctx, "public", False)
        for method in route.methods
    ]
    assert len(protected) >= 9
    for method, path in protected:
        for variant in (path, path + "/"):
            answer = await api.ask(method, variant)
            assert answer.status == 401, (method, variant)


@pytest.mark.bar("D8")
@pytest.mark.parametrize(
    "path",
    ["//session", "/SESSION", "/%73ession/x", "/session;x", "/session%2f", "/wx//products/list"],
)
async def test_no_spelling_of_a_path_slips_by(api: Api, path: str) -> None:
    assert (await api.ask("GET", path)).status in {401, 404}


async def test_without_an_id_the_answer_says_to_log_in(api: Api) -> None:
    answer = await api.ask("GET", "/session")
    assert (answer.status, answer.code, answer.body["error"]) == (401, 40100, "session_missing")
    assert answer.headers["WWW-Authenticate"] == 'Session realm="minigate", error="session_missing"'


@pytest.mark.parametrize(
    "form",
    [
        lambda sid: {"sessionid": sid},
        lambda sid: {"SessionID": sid},
        lambda sid: {"X-Session-Id": sid},
        lambda sid: {"Authorization": f"Bearer {sid}"},
        lambda sid: {"authorization": f"bearer {sid}"},
        lambda sid: {"sessionid": f"  {sid} "},
    ],
)
async def test_the_id_is_taken_in_each_of_its_headers(
    api: Api, simulator: Simulator, form: Callable[[str], dict[str, str]]
) -> None:
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    assert (await api.ask("GET", "/session", headers=form(sessionid))).status == 200


@pytest.mark.bar("D5", "H3")
@pytest.mark.parametrize(
    "headers",
    [
        {"sessionid": ""},
        {"sessionid": "x"},
        {"sessionid": "A" * 4000},
        {"sessionid": "' OR 1=1 --"},
        {"sessionid": "ÿþ"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        [("sessionid", DEAD), ("sessionid", DEAD)],
    ],
)
async def test_what_cannot_be_an_id_is_malformed_and_never_looked_up(
    settings: Callable[..., Settings], headers: Any
) -> None:
    # No Redis: an answer other than 401 40104 would be a 503.
    async with running_service(settings(redis_url="redis://127.0.0.1:1")) as api:
        answer = await api.ask("GET", "/session", headers=headers)
        assert (answer.status, answer.code) == (401, 40104)


OTHER = "C" * 22 + "." + "A" * 43


@pytest.mark.bar("A7")
@pytest.mark.parametrize(
    "headers",
    [
        [("sessionid", DEAD), ("X-Session-Id", OTHER)],
        [("sessionid", DEAD), ("Authorization", f"Bearer {OTHER}")],
        [("X-Session-Id", OTHER), ("Authorization", f"Bearer {DEAD}")],
        [("Authorization", f"Bearer {DEAD}"), ("Authorization", f"Bearer {OTHER}")],
        [("X-Session-Id", DEAD), ("X-Session-Id", OTHER)],
        [("sessionid", DEAD), ("X-WX-Skey", OTHER)],
        [("X-Session-Id", DEAD), ("X-WX-Skey", OTHER)],
        [("Authorization", f"Bearer {DEAD}"), ("X-WX-Skey", OTHER)],
        [("sessionid", DEAD), ("X-Session-Id", DEAD), ("X-WX-Skey", OTHER)],
        [("sessionid", DEAD), ("X-WX-Skey", DEAD), ("X-WX-Skey", DEAD)],
        [("sessionid", DEAD), ("X-Session-Id", "x")],
        [("sessionid", ""), ("X-Session-Id", DEAD)],
    ],
)
async def test_ids_that_differ_are_none(
    settings: Callable[..., Settings], headers: list[tuple[str, str]]
) -> None:
    """Whoever stands in front may have looked at the other one."""
    for wafer_compat in (False, True):
        configured = settings(redis_url="redis://127.0.0.1:1", wafer_compat=wafer_compat)
        async with running_service(configured) as api:
            for path in ("/session", "/verify", "/me"):
                answer = await api.ask("GET", path, headers=headers)
                assert (answer.status, answer.body["error"]) == (401, "session_malformed"), path


@pytest.mark.parametrize(
    "form",
    [
        lambda sid: {"sessionid": sid, "X-Session-Id": sid, "Authorization": f"Bearer {sid}"},
        lambda sid: {"sessionid": sid, "Authorization": "Bearer another.services.token"},
        lambda sid: {"sessionid": sid, "Authorization": "Basic abc"},
        lambda sid: {"X-Session-Id": sid, "X-WX-Skey": "0ld" * 13},
        lambda sid: {"sessionid": sid, "X-WX-Skey": sid},
        lambda sid: {"Authorization": f"Bearer {sid}", "X-WX-Skey": ""},
        lambda sid: {"sessionid": f"\t {sid}\t "},
        lambda sid: {"Authorization": f"Bearer  {sid}\t"},
    ],
)
async def test_equal_ids_are_one_and_other_credentials_are_none(
    settings: Callable[..., Settings], simulator: Simulator, form: Callable[[str], dict[str, str]]
) -> None:
    configured = settings(wechat_api_base=(simulator.url,), wafer_compat=True)
    async with running_service(configured) as api:
        sessionid = (await api.login(await simulator.code())).data["sessionid"]
        assert (await api.ask("GET", "/session", headers=form(sessionid))).status == 200


@pytest.mark.parametrize("space", ["\x85", "\xa0", "\u2003", "\u2028", "\u3000", "\ufeff"])
@pytest.mark.parametrize(
    "form",
    ["sessionid: {}ID", "sessionid: ID{}", "X-Session-Id: {} ID", "Authorization:{}Bearer ID"],
)
async def test_no_white_space_but_http_s_is_taken_off_an_id(
    api: Api, simulator: Simulator, space: str, form: str
) -> None:
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    header = form.format(space).replace("ID", sessionid)
    head = f"GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert b'"code":40104' in answer


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic abc"}])
async def test_other_credentials_count_as_none(api: Api, headers: dict[str, str]) -> None:
    answer = await api.ask("GET", "/session", headers=headers)
    assert answer.code == 40100


async def test_an_id_is_never_taken_from_the_url_or_a_cookie(
    api: Api, simulator: Simulator
) -> None:
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    by_url = await api.ask("GET", "/session", params={"sessionid": sessionid})
    by_cookie = await api.ask("GET", "/session", headers={"Cookie": f"sessionid={sessionid}"})
    assert (by_url.code, by_cookie.code) == (40100, 40100)


async def test_a_gateway_gets_the_caller_in_headers(api: Api, simulator: Simulator) -> None:
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = await api.ask(
            method,
            "/verify",
            headers={"sessionid": sessionid, "X-Auth-Openid": "forged", "X-Auth-Unionid": "forged"},
        )
        assert (answer.status, answer.body) == (200, None), method
        assert answer.headers["X-Auth-Openid"].startswith("o")
        assert answer.headers["X-Auth-Appid"].startswith("wx")
        assert answer.headers["X-Auth-Unionid"] == ""
        assert 7190 <= int(answer.headers["X-Session-Expires-In"]) <= 7200


async def test_old_clients_get_their_200_but_a_gateway_never_does(
    settings: Callable[..., Settings],
) -> None:
    async with running_service(settings(auth_error_status=200)) as api:
        answer = await api.session(DEAD)
        assert (answer.status, answer.code) == (200, 40102)
        assert "session_expired" in answer.headers["WWW-Authenticate"]
        gateway = await api.ask("GET", "/verify", headers={"sessionid": DEAD})
        assert (gateway.status, gateway.code) == (401, 40102)


async def test_a_wrong_secret_is_answered_alike_whether_a_session_is_there(
    settings: Callable[..., Settings], simulator: Simulator, redis_server: EmbeddedRedis
) -> None:
    """Answer, count and commands, at every door that takes an id."""
    told_at_once = settings(
        wechat_api_base=(simulator.url,), limit_dead_sessions_per_address="100/minute"
    )
    async with running_service(told_at_once) as api:
        live = (await api.login(await simulator.code())).data["sessionid"].partition(".")[0]
        with redis.Redis.from_url(redis_server.url) as behind:

            async def seen(handle: str, method: str, path: str) -> object:
                behind.config_resetstat()
                wrong = {"sessionid": f"{handle}.{'A' * 43}"}
                answer = await api.ask(method, path, headers=wrong)
                body = {**answer.body, "requestId": None}
                stats = behind.info("commandstats")
                commands = {name: told["calls"] for name, told in stats.items()}
                return answer.status, body, set(answer.headers), commands

            for method, path in (("GET", "/verify"), ("GET", "/me"), ("POST", "/logout")):
                await seen(live, method, path)  # what is done once is done
                there, absent = [await seen(one, method, path) for one in (live, "N" * 22)]
                assert there == absent


async def test_a_redis_that_is_away_is_no_dead_session(settings: Callable[..., Settings]) -> None:
    async with running_service(settings(redis_url="redis://127.0.0.1:1")) as api:
        for method, path in (("GET", "/session"), ("GET", "/verify"), ("POST", "/logout")):
            answer = await api.ask(method, path, headers={"sessionid": DEAD})
            assert (answer.status, answer.code) == (503, 50300), path
            assert answer.headers["Retry-After"] == "1"
        login = await api.login("0code")
        assert (login.status, login.code) == (503, 50300)
        assert (await api.ask("GET", "/readyz")).status == 503
        assert (await api.ask("GET", "/livez")).status == 200
