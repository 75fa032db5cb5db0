from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from service.simulator.endpoints.msg_sec_check import OFFICIAL_TEST_TEXT, WORDS
from tests.unit.simulator.harness import (
    NOT_LATEST,
    RID,
    SISTER_APPID,
    TEXT_CHECK,
    Client,
    assert_wxa_refused,
    counters,
    with_query,
)

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Answer, Clock


def post(client: Client, body: Any) -> Answer:
    return client.post(with_query(TEXT_CHECK, access_token=client.token()), body)


def check(client: Client, content: Any = "你好", **overrides: Any) -> Answer:
    openid = overrides.pop("openid", None) or client.identify()["openid"]
    body = {"version": 2, "openid": openid, "scene": 1, "content": content, **overrides}
    return post(client, body)


def test_a_fine_text_passes(client: Client) -> None:
    answer = check(client)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert list(body) == ["errcode", "errmsg", "result", "detail", "trace_id"]
    assert (body["errcode"], body["errmsg"]) == (0, "ok")
    assert body["result"] == {"suggest": "pass", "label": 100}
    assert body["detail"] == [
        {"strategy": "content_model", "errcode": 0, "suggest": "pass", "label": 100, "prob": 90}
    ]
    assert re.fullmatch(RID, body["trace_id"])


@pytest.mark.parametrize("word", list(WORDS))
def test_a_text_with_a_listed_word_is_found_out_although_the_errcode_is_0(
    client: Client, word: str
) -> None:
    body = check(client, f"你好{word}!").json()
    verdict = WORDS[word]
    assert body["errcode"] == 0
    assert body["result"] == {"suggest": verdict.suggest, "label": verdict.label}
    assert body["result"]["suggest"] in ("risky", "review")
    assert body["detail"][0]["keyword"] == word


def test_a_text_that_came_escaped_passes(client: Client) -> None:
    """What a server gets that writes its JSON in ASCII."""
    openid = client.identify()["openid"]
    body = {"version": 2, "openid": openid, "scene": 2, "content": OFFICIAL_TEST_TEXT}
    escaped = json.dumps(body).encode()
    assert b"\\u" in escaped
    assert post(client, escaped).json()["result"]["suggest"] == "pass"
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert post(client, raw).json()["result"]["suggest"] == "risky"


@pytest.mark.parametrize("field", ["nickname", "title", "signature"])
def test_other_texts_are_looked_at_too(client: Client, field: str) -> None:
    body = check(client, **{field: "模拟辱骂词"}).json()
    assert body["result"] == {"suggest": "risky", "label": 20003}


@pytest.mark.parametrize("version", [{}, {"version": 1}, {"version": "2"}])
def test_version_1_needs_the_text_only(client: Client, version: dict[str, Any]) -> None:
    assert post(client, {"content": "你好", **version}).body == b'{"errcode":0,"errmsg":"ok"}'
    answer = post(client, {"content": OFFICIAL_TEST_TEXT, **version})
    assert_wxa_refused(answer, 87014, "risky content")
    answer = post(client, {"content": "模拟存疑词", **version})
    assert answer.json()["errcode"] == 0


def test_a_user_must_have_been_there_within_two_hours(client: Client, clock: Clock) -> None:
    openid = client.identify()["openid"]
    clock.advance(7200)
    assert check(client, openid=openid).json()["errcode"] == 0
    clock.advance(1)
    assert_wxa_refused(check(client, openid=openid), 61010, "code is expired")
    client.post("/sim/profile", {"user": "alice", "appid": SISTER_APPID})
    assert check(client, openid=openid).json()["errcode"] == 61010
    client.press("alice")
    assert check(client, openid=openid).json()["errcode"] == 0


def test_whoever_was_never_there_was_not_there_within_two_hours(client: Client) -> None:
    assert_wxa_refused(check(client, openid="o" + "x" * 27), 61010, "code is expired")


@pytest.mark.parametrize("openid", ["x", 7, ["o"]])
def test_an_openid_must_look_like_one(client: Client, openid: Any) -> None:
    assert_wxa_refused(check(client, openid=openid), 40003, "invalid openid")


def test_an_openid_of_another_app_does_not_fit(client: Client) -> None:
    openid = client.identify(appid=SISTER_APPID)["openid"]
    assert check(client, openid=openid).json()["errcode"] == 43104


@pytest.mark.parametrize("scene", [None, 0, 5, "1", True, 1.0])
def test_there_are_four_scenes(client: Client, scene: Any) -> None:
    answer = check(client, scene=scene, openid="x")
    assert_wxa_refused(answer, 40129, "invalid scene")


def test_a_text_has_2500_characters_at_most(client: Client) -> None:
    assert check(client, "好" * 2500).json()["errcode"] == 0
    assert_wxa_refused(check(client, "好" * 2501), 45002, "content size out of limit")


@pytest.mark.parametrize("body", [b"{", b"[]", b"content=x", {}, {"content": 7}, {"content": ""}])
def test_a_body_that_is_of_no_use_is_a_format_error(client: Client, body: Any) -> None:
    assert_wxa_refused(post(client, body), 47001, "data format error")


def test_the_rest_is_as_with_every_call_with_a_token(client: Client) -> None:
    assert_wxa_refused(client.get(TEXT_CHECK), 43002, "require POST method")
    assert_wxa_refused(client.post(TEXT_CHECK, b""), 41001, "access_token missing")
    answer = client.post(with_query(TEXT_CHECK, access_token="x"), b"")
    assert_wxa_refused(answer, 40001, NOT_LATEST)
    assert_wxa_refused(post(client, b""), 44002, "empty post data")
    client.fault("not_entitled", endpoint=TEXT_CHECK)
    assert_wxa_refused(post(client, b""), 48001, "api unauthorized")


def test_an_error_can_be_injected(client: Client) -> None:
    client.fault("errcode", errcode=45009, endpoint=TEXT_CHECK)
    assert_wxa_refused(check(client, "risky-word"), 45009, "reach max api daily quota limit")
    assert check(client, scene=9).json()["errcode"] == 40129


def test_stats_count_checks(client: Client) -> None:
    token = client.token()
    client.delete("/sim/stats")
    uri = with_query(TEXT_CHECK, access_token=token)
    client.post(uri, {"content": "x"})
    client.post(uri, {"content": "risky-word"})
    assert client.get("/sim/stats").json() == counters(
        **{TEXT_CHECK: {"total": 2, "errcodes": {"0": 1, "87014": 1}}}
    )
