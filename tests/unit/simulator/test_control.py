from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.simulator.settings import DEFAULT_APPID, DEFAULT_SECRET, SimulatorSettings
from tests.unit.simulator.harness import (
    APPID,
    PATH,
    SECRET,
    SISTER_APPID,
    UNBOUND_APPID,
    Client,
    Clock,
    counters,
    target,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def one_app(clock: Clock) -> Iterator[Client]:
    client = Client(clock, apps=SimulatorSettings.model_fields["apps"].default)
    yield client
    client.close()


def test_with_one_app_a_login_needs_a_user_only(one_app: Client) -> None:
    code = one_app.post("/sim/login", {"user": "alice"}).json()["code"]
    assert one_app.errcode(code, appid=DEFAULT_APPID, secret=DEFAULT_SECRET) == 0


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_a_body_counts_whatever_its_content_type(one_app: Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = one_app.call("post", "/sim/login", content=b'{"user": "alice"}', headers=headers)
    assert answer.status == 200
    assert list(answer.json()) == ["code"]


@pytest.mark.parametrize("body", [b"", b"user=alice", b"[]", b'"alice"', b"null", b"\xff", b"{"])
def test_a_body_that_is_no_object_is_answered_with_an_example(client: Client, body: bytes) -> None:
    for uri in ("/sim/login", "/sim/faults"):
        answer = client.post(uri, body)
        assert answer.status == 400
        assert "send a JSON object, for example {" in answer.json()["error"]


@pytest.mark.parametrize("user", [None, "", 7, ["alice"], "a" * 129])
def test_a_login_without_a_usable_user_is_told_what_to_send(one_app: Client, user: Any) -> None:
    answer = one_app.post("/sim/login", {"user": user})
    assert answer.status == 400
    assert answer.json()["field"] == "user"
    assert '{"user": "alice"}' in answer.json()["error"]


@pytest.mark.parametrize("body", [{}, {"appid": "wx-nobody"}, {"appid": None}, {"appid": [APPID]}])
def test_among_several_apps_a_login_must_name_a_known_one(
    client: Client, body: dict[str, Any]
) -> None:
    answer = client.post("/sim/login", {"user": "alice", **body})
    assert answer.status == 400
    assert answer.json()["field"] == "appid"
    assert answer.json()["allowed"] == [APPID, SISTER_APPID, UNBOUND_APPID]


def test_stats_count_calls_and_outcomes(client: Client) -> None:
    assert client.get("/sim/stats").json() == counters()
    client.exchange()
    client.exchange()
    client.exchange("0unknown")
    client.exchange(secret="wrong")
    assert client.get("/sim/stats").json() == counters(
        **{PATH: {"total": 4, "errcodes": {"0": 2, "40029": 1, "40125": 1}}}
    )


def test_stats_count_every_call_that_presents_a_code_again(client: Client) -> None:
    code = client.log_in()
    for _ in range(3):
        client.exchange(code)
    client.exchange("0unknown")
    client.exchange("0unknown")
    client.get(target(js_code=None))
    client.get(target(js_code=None))
    assert client.get("/sim/stats").json()["repeatedCodes"] == 3


def test_stats_count_a_repeated_code_although_the_call_was_lost(client: Client) -> None:
    code = client.log_in()
    client.fault("html_502", times=1)
    client.exchange(code)
    assert client.errcode(code) == 0
    assert client.get("/sim/stats").json() == counters(
        **{PATH: {"total": 2, "errcodes": {"0": 1}, "repeatedCodes": 1}}
    )


def test_stats_can_be_reset(client: Client) -> None:
    code = client.log_in()
    client.exchange(code)
    assert client.delete("/sim/stats").json() == counters()
    client.exchange(code)
    assert client.get("/sim/stats").json() == counters(
        **{PATH: {"total": 1, "errcodes": {"40163": 1}}}
    )


def test_the_front_page_can_be_pasted_from(one_app: Client) -> None:
    answer = one_app.get("/", headers={"host": "sim.test:99"})
    page = answer.body.decode()
    assert answer.status == 200
    assert f"http://sim.test:99{PATH}?appid={DEFAULT_APPID}&secret={DEFAULT_SECRET}" in page
    for route in ("login", "phone", "profile", "session_key", "faults", "redis", "stats"):
        assert f"http://sim.test:99/sim/{route}" in page
    assert "http://sim.test:99/cgi-bin/stable_token" in page


def test_the_front_page_tells_no_appsecret(client: Client) -> None:
    page = client.get("/").body.decode()
    assert APPID in page
    assert SECRET not in page


@pytest.mark.parametrize(
    ("method", "uri", "status"),
    [("get", "/nowhere", 404), ("get", "/sim/login", 405), ("delete", PATH, 405)],
)
def test_whoever_is_lost_is_pointed_to_the_front_page(
    client: Client, method: str, uri: str, status: int
) -> None:
    answer = client.call(method, uri)
    assert answer.status == status
    assert "GET / says what there is" in answer.json()["error"]


def test_a_bug_of_ours_is_logged_by_name_only(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Exception texts may quote URLs, and those hold AppSecrets."""

    def fail(_: object, endpoint: str, *, errcode: int) -> None:
        raise ArithmeticError(f"{endpoint} {errcode} {SECRET}")

    monkeypatch.setattr("service.simulator.stats.Stats.decided", fail)
    assert client.exchange().status == 500
    # The test's own HTTP client may log too.
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert [(record.message, record.exception) for record in ours] == [  # type: ignore[attr-defined]
        ("simulator_bug", "ArithmeticError")
    ]
    assert SECRET not in caplog.text


def test_nothing_is_logged_about_calls(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client.errcode(client.log_in())
    client.errcode(secret="wrong")
    client.get("/nowhere")
    # The test's own HTTP client does log.
    assert [record for record in caplog.records if not record.name.startswith("http")] == []
