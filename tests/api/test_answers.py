"""The form of every answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from service.core.errors import InternalError, ServiceError, error_classes
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.figure import Figure
    from tests.support.running import Api, Simulator


@pytest.mark.parametrize(
    "path",
    ["/", "/livez", "/session", "/verify", "/nothing", "/uploads/default-avatar.png"],
)
async def test_no_answer_tells_of_the_service_elsewhere(api: Api, path: str) -> None:
    """Sanic adds an empty header for that to each."""
    assert "alt-svc" not in (await api.ask("GET", path)).headers


@pytest.mark.parametrize(
    ("languages", "msg"),
    [
        (None, "请先登录"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "请先登录"),
        ("en", "Log in first"),
        ("en-GB,en;q=0.9,zh;q=0.8", "Log in first"),
        ("zh;q=0.2, en;q=0.7", "Log in first"),
        ("fr, de", "请先登录"),
        ("fr, en;q=0.1", "Log in first"),
        ("en;q=0", "请先登录"),
        (",;;q=,,en;q=9", "请先登录"),
    ],
)
async def test_texts_are_chinese_unless_english_is_asked_for(
    api: Api, languages: str | None, msg: str
) -> None:
    headers = {"Accept-Language": languages} if languages else {}
    assert (await api.ask("GET", "/session", headers=headers)).body["msg"] == msg


async def test_a_failure_has_the_envelope(api: Api) -> None:
    answer = await api.ask("GET", "/session", headers={"X-Request-ID": "trace-1"})
    assert answer.body == {
        "code": 40100,
        "error": "session_missing",
        "msg": "请先登录",
        "data": None,
        "requestId": "trace-1",
    }
    assert answer.headers["Content-Type"] == "application/json"


async def test_problem_json_is_given_to_who_asks_for_it(api: Api) -> None:
    answer = await api.ask(
        "GET", "/session", headers={"Accept": "application/problem+json", "Accept-Language": "en"}
    )
    assert answer.headers["Content-Type"] == "application/problem+json"
    request_id = answer.body.pop("requestId")
    assert request_id == answer.headers["X-Request-ID"]
    assert answer.body == {
        "type": "urn:minigate:error:session_missing",
        "title": "Log in first",
        "status": 401,
        "code": 40100,
        "error": "session_missing",
        "data": None,
    }


@pytest.mark.bar("E3")
@pytest.mark.parametrize("path", ["/livez", "/session", "/nowhere", "/verify"])
async def test_no_answer_may_be_cached_and_each_can_be_traced(api: Api, path: str) -> None:
    answer = await api.ask("GET", path, headers={"X-Request-ID": "abc-1.2_3"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "é", "<script>", ""])
async def test_a_request_id_that_is_no_plain_word_is_replaced(api: Api, given: str) -> None:
    answer = await api.ask("GET", "/livez", headers={"X-Request-ID": given})
    assert len(answer.headers["X-Request-ID"]) == 16
    assert answer.headers["X-Request-ID"] != given


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, 40400),
        ("GET", "/login", 405, 40500),
        ("TRACE", "/session", 405, 40500),
        ("OPTIONS", "/login", 405, 40500),
    ],
)
async def test_what_is_not_there_says_so(
    api: Api, method: str, path: str, status: int, code: int
) -> None:
    answer = await api.ask(method, path)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("path", ["/livez", "/me", "/login", "/uploads/x.png", "/"])
async def test_an_address_with_slashes_behind_it_is_not_there_and_costs_nothing(
    api: Api, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Sanic took one off after the other, each in a call of its own, to the end of its stack."""
    for slashes in ("//", "/" * 3, "/" * 1200, "/" * 7000):
        answer = await api.ask("GET", path + slashes)
        assert (answer.status, answer.code) == (404, 40400)
    assert "RecursionError" not in caplog.text


async def test_one_slash_behind_an_address_is_taken(api: Api) -> None:
    assert (await api.ask("GET", "/livez/")).status == 200


async def test_a_refused_method_names_the_ones_that_work(api: Api) -> None:
    assert (await api.ask("GET", "/login")).headers["Allow"] == "POST"


BODIES: list[tuple[Any, str, int, int, str]] = [
    (b"", "application/json", 400, 40000, "body"),
    (b"{", "application/json", 400, 40000, "body"),
    (b"[]", "application/json", 400, 40000, "body"),
    (b"null", "application/json", 400, 40000, "body"),
    (b"{", "Application/JSON", 400, 40000, "body"),
    (b'"text"', "application/json", 400, 40000, "body"),
    (b"{}", "application/json", 400, 40000, "code"),
    (b'{"code": 1}', "application/json", 400, 40000, "code"),
    (b'{"code": ""}', "application/json", 400, 40000, "code"),
    (b'{"code": null}', "application/json", 400, 40000, "code"),
    (b'{"code": "%s"}' % (b"x" * 129), "application/json", 400, 40000, "code"),
    (b'{"code": "0x", "appid": 5}', "application/json", 400, 40000, "appid"),
    (b'{"code": "0x", "device": ["a"]}', "application/json", 400, 40000, "device"),
    (b"\xff\xfe{", "application/json", 400, 40000, "body"),
]


@pytest.mark.parametrize(("body", "kind", "status", "code", "field"), BODIES)
async def test_a_bad_body_is_told_which_field_is_wrong(
    api: Api, body: bytes, kind: str, status: int, code: int, field: str
) -> None:
    answer = await api.ask("POST", "/login", data=body, headers={"Content-Type": kind})
    assert (answer.status, answer.code, answer.data["field"]) == (status, code, field)
    assert field in answer.body["msg"]


async def test_a_form_is_told_to_be_json(api: Api) -> None:
    answer = await api.ask(
        "POST",
        "/login",
        data=b"code=0x",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status, answer.code) == (415, 41500)


async def test_a_body_over_the_cap_is_refused(api: Api) -> None:
    answer = await api.ask("POST", "/login", data=b"x" * (16 * 1024 + 1))
    assert (answer.status, answer.code) == (413, 41300)


@pytest.mark.parametrize("key", ["", "with space", "x" * 129, "é"])
async def test_an_idempotency_key_out_of_shape_is_refused(api: Api, key: str) -> None:
    answer = await api.ask("POST", "/login", json={"code": "0x"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code, answer.data["field"]) == (400, 40000, "Idempotency-Key")


async def test_a_query_without_code_is_refused(api: Api) -> None:
    answer = await api.ask("GET", "/wx/onlogin")
    assert (answer.status, answer.code, answer.data["field"]) == (400, 40000, "code")


async def test_a_fault_of_ours_is_told_as_a_request_id_and_nothing_else(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("internals nobody should see")

    monkeypatch.setattr(api.app.ctx.services.sessions, "validate", broken)
    sessionid = "B" * 22 + "." + "A" * 43
    answer = await api.session(sessionid)
    assert (answer.status, answer.code) == (500, 50000)
    assert "internals" not in str(answer.body)
    [record] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert vars(record)["requestId"] == answer.body["requestId"]
    assert "RuntimeError: internals nobody should see" in record.message


async def test_readyz_sends_nobody_to_a_worker_that_is_stopping(api: Api) -> None:
    assert (await api.ask("GET", "/readyz")).status == 200
    # What Sanic does before it lets requests under way finish.
    await api.app._server_event("shutdown", "before", loop=asyncio.get_running_loop())
    answer = await api.ask("GET", "/readyz")
    assert (answer.status, answer.code) == (503, 50302)
    assert (await api.ask("GET", "/livez")).status == 200


async def test_production_has_no_demo(settings: Callable[..., Settings]) -> None:
    async with running_service(settings(environment="production")) as api:
        assert (await api.ask("GET", "/wx/products/list")).status == 404
        assert (await api.ask("GET", "/livez")).status == 200


async def test_the_access_log_shows_the_route_and_never_the_query(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_service(settings(access_log=True)) as api:
        await api.ask("GET", "/wx/onlogin", params={"code": "0canary", "device": "x"})
        await api.ask("GET", "/nowhere")
    logged = capsys.readouterr().err
    assert "answered method=GET route=/wx/onlogin status=400 " in logged
    assert "answered method=GET route=- status=404 " in logged
    assert "canary" not in logged


CANARY = "canary-of-an-exception"


@pytest.mark.bar("E3")
async def test_every_error_there_is_has_one_form_and_tells_nothing(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    session = {"sessionid": (await api.login(await simulator.code())).data["sessionid"]}
    kinds: list[Exception] = [
        kind.again({"field": "x"}, 7) for kind in error_classes().values() if kind.code != 50000
    ]
    kinds += [RuntimeError(CANARY), KeyError(CANARY), OSError(CANARY), ValueError(f"/srv/{CANARY}")]
    for error in kinds:

        async def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(api.app.ctx.services.sessions, "validate", fail)
        answer = await api.ask("GET", "/session", headers=session)
        expected = type(error) if isinstance(error, ServiceError) else InternalError
        assert (answer.status, answer.code) == (expected.status, expected.code)
        assert set(answer.body) == {"code", "error", "msg", "data", "requestId"}
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Request-ID"] == answer.body["requestId"]
        everything = f"{answer.body} {dict(answer.headers)}"
        for word in (CANARY, "Traceback", ".py", "anic", "ython", "127.0.0.1"):
            assert word not in everything, word
    figure(f"{len(kinds)} kinds of errors")
    assert len(kinds) >= 40
