"""Every kind of fault that leaves the connection whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.stopwatch import Stopwatch
from tests.unit.simulator.harness import APPID, Client, Clock


def is_good(code: str, client: Client) -> bool:
    return client.errcode(code) == 0


def test_latency_delays_and_lets_the_call_through(client: Client) -> None:
    client.fault("latency", median_ms=60, tail_ms=60)
    code = client.log_in()
    watch = Stopwatch(alone=True)
    assert client.errcode(code) == 0
    assert watch.elapsed > 0.055
    assert watch.seconds < 1


def test_latency_varies_and_keeps_to_its_cap(client: Client) -> None:
    client.fault("latency", median_ms=2, tail_ms=40)
    durations = []
    for _ in range(40):
        code = client.log_in()
        watch = Stopwatch(alone=True)
        assert client.errcode(code) == 0
        durations.append(watch.seconds)
    assert max(durations) > 2 * min(durations)
    assert max(durations) < 0.5


@pytest.mark.parametrize("status", [204, 301, 403, 429, 500, 503, 599])
def test_any_status_can_be_answered(client: Client, status: int) -> None:
    code = client.log_in()
    client.fault("status", status=status, times=1)
    answer = client.exchange(code)
    assert answer.status == status
    assert status == 204 or str(status).encode() in answer.body
    assert is_good(code, client)


@pytest.mark.parametrize(("kind", "status"), [("html_502", 502), ("html_200", 200)])
def test_a_page_of_html_can_stand_in_for_the_answer(client: Client, kind: str, status: int) -> None:
    code = client.log_in()
    client.fault(kind, times=1)
    answer = client.exchange(code)
    assert answer.status == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body.startswith(b"<html>")
    assert is_good(code, client)


def test_a_redirect_leads_where_it_is_told(client: Client) -> None:
    client.fault("redirect", times=1)
    client.fault("redirect", status=307, location="http://elsewhere.test/x?y=1")
    first, second = client.exchange(), client.exchange()
    assert (first.status, first.headers["location"]) == (302, "/")
    assert (second.status, second.headers["location"]) == (307, "http://elsewhere.test/x?y=1")


def test_a_huge_body_is_valid_json_of_that_size(client: Client) -> None:
    client.fault("huge_body", megabytes=3)
    answer = client.exchange()
    assert len(answer.json()["padding"]) == 3 * 2**20
    assert answer.headers["content-type"] == "text/plain"


def test_a_gzip_bomb_is_small_until_it_is_unpacked(client: Client) -> None:
    client.fault("gzip_bomb", megabytes=8)
    answer = client.exchange()
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["padding"]) == 8 * 2**20
    assert answer.downloaded < 10_000


@pytest.mark.parametrize(
    ("errcode", "text"),
    [
        (-1, "system error"),
        (40029, "invalid code"),
        (45009, "reach max api daily quota limit"),
        (48001, "api unauthorized"),
        (50002, "user limited"),
        (99999, "unknown error"),
    ],
)
def test_any_errcode_comes_with_its_text(client: Client, errcode: int, text: str) -> None:
    client.fault("errcode", errcode=errcode, times=1)
    code = client.log_in()
    body = client.exchange(code).json()
    assert body["errcode"] == errcode
    assert body["errmsg"].startswith(f"{text}, rid: ")
    assert is_good(code, client)


def test_an_errcode_can_have_a_text_of_ones_own_and_use_the_code_up(client: Client) -> None:
    client.fault("errcode", errcode=40243, errmsg="frozen / secret", uses_code=True, times=1)
    code = client.log_in()
    answer = client.exchange(code)
    assert answer.body.startswith(b'{"errcode":40243,"errmsg":"frozen \\/ secret, rid: ')
    assert client.errcode(code) == 40163


def test_a_wrong_call_is_refused_for_its_own_fault_first(client: Client) -> None:
    client.fault("errcode", errcode=-1)
    assert client.errcode("0unknown") == 40029
    assert client.errcode(secret="wrong") == 40125


def test_a_blocked_user_is_refused_so_many_times(client: Client) -> None:
    client.fault("blocked_user", user="alice", times=1)
    assert client.errcode(client.log_in("bob")) == 0
    assert client.errcode(client.log_in("alice")) == 40226
    assert client.errcode(client.log_in("alice")) == 0


def test_a_blocked_user_is_refused_before_the_quota(clock: Clock) -> None:
    client = Client(clock, minute_quota=1)
    try:
        assert client.errcode() == 0
        assert client.errcode() == 45011
        client.fault("blocked_user", user="alice")
        assert client.errcode() == 40226
    finally:
        client.close()


def test_a_skewed_clock_shows_in_rid_and_date_and_ages_no_code(
    client: Client, clock: Clock
) -> None:
    client.fault("clock_skew", seconds=-400)
    answer = client.exchange("0x")
    rid = answer.json()["errmsg"].rsplit(" ", 1)[1]
    assert int(rid.split("-")[0], 16) == int(clock.now) - 400
    assert answer.headers["date"] == "Fri, 15 Jan 2027 07:53:20 GMT"
    assert client.errcode() == 0


def test_an_empty_body_has_used_the_code_up(client: Client) -> None:
    code = client.log_in()
    client.fault("empty_body", times=1)
    answer = client.exchange(code)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert client.errcode(code) == 40163


@pytest.mark.parametrize("keep", [None, 0, 1, 9999])
def test_truncated_json_is_a_proper_prefix(client: Client, keep: int | None) -> None:
    # Logins in quick succession share a session_key, so the replies would be equal.
    whole = client.exchange().body
    client.fault("truncated_json", keep=keep, times=1)
    code = client.log_in()
    answer = client.exchange(code)
    length = {None: len(whole) // 2, 9999: len(whole) - 1}.get(keep, keep)
    assert answer.body == whole[:length]
    assert answer.headers["content-length"] == str(length)
    assert client.errcode(code) == 40163


@pytest.mark.parametrize("field", ["session_key", "openid", "unionid"])
def test_a_field_can_be_missing(client: Client, field: str) -> None:
    client.fault("missing_field", field=field, times=1)
    body = client.exchange().json()
    assert set(body) == {"session_key", "openid", "unionid"} - {field}


@pytest.mark.parametrize("value", [12345, None, ["x"], {"a": 1}, True, ""])
def test_a_field_can_have_the_wrong_type(client: Client, value: Any) -> None:
    client.fault("wrong_type", field="session_key", value=value)
    assert client.exchange().json()["session_key"] == value


@pytest.mark.parametrize("kind", ["missing_field", "wrong_type", "drop_after_consume"])
def test_faults_of_success_wait_for_one(client: Client, kind: str) -> None:
    client.fault(kind, times=1)
    assert client.errcode("0unknown") == 40029
    assert [fault["fired"] for fault in client.active_faults()] == [0]


@pytest.mark.parametrize(
    "value", ["application/json; charset=utf-8", "application/json; encoding=utf-8", "text/html"]
)
def test_the_content_type_can_be_any(client: Client, value: str) -> None:
    client.fault("content_type", value=value)
    answer = client.exchange()
    assert answer.headers["content-type"] == value
    assert answer.json()["openid"]


def test_faults_of_a_reply_add_up(client: Client) -> None:
    client.fault("missing_field", field="unionid")
    client.fault("wrong_type", field="openid", value=1)
    client.fault("content_type", value="application/json")
    answer = client.exchange(client.log_in(appid=APPID))
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["session_key", "openid"]
    assert answer.json()["openid"] == 1


@pytest.mark.parametrize("value", [None, "x", {}, {"countryCode": "x"}, {"countryCode": None}])
def test_a_country_that_another_fault_changed_stays_as_it_is(client: Client, value: Any) -> None:
    client.fault("wrong_type", field="phone_info", value=value)
    client.fault("country_code_number")
    answer = client.look_up()
    assert (answer.status, answer.json()["phone_info"]) == (200, value)
