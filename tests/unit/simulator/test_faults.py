"""The fault switches: what can be set, and what is struck."""

from __future__ import annotations

from typing import Any

import pytest

from service.simulator.endpoints import ENDPOINTS
from service.simulator.faults import KINDS
from tests.unit.simulator.harness import PATH, Client

REQUIRED: dict[str, dict[str, Any]] = {
    "api_down": {"hosts": ["api.test"]},
    "status": {"status": 503},
    "errcode": {"errcode": -1},
    "blocked_user": {"user": "alice"},
    "ip_whitelist": {"ips": []},
    "clock_skew": {"seconds": 1},
    "content_type": {"value": "text/html"},
}
"""Kinds that cannot do without a parameter, and one that will do."""


def test_the_catalogue_has_every_kind() -> None:
    assert set(KINDS) == {
        *("latency", "hang", "reset", "api_down", "status", "html_502", "html_200", "redirect"),
        *("huge_body", "gzip_bomb", "errcode", "blocked_user", "ip_whitelist", "clock_skew"),
        *("drop_after_consume", "reset_after_headers", "empty_body", "truncated_json"),
        *("missing_field", "wrong_type", "content_type", "country_code_number"),
        *("wrong_secret", "token_superseded", "not_entitled", "openid_refused"),
    }


def test_the_catalogue_explains_every_kind(client: Client) -> None:
    listing = client.get("/sim/faults").json()
    assert listing["active"] == []
    assert listing["endpoints"] == list(ENDPOINTS)
    assert set(listing["common"]) == {"endpoint", "times", "every", "probability", "hosts"}
    assert [entry["kind"] for entry in listing["kinds"]] == list(KINDS)
    for entry in listing["kinds"]:
        assert entry["description"].endswith(".")
        required = {name for name, rules in entry["params"].items() if rules["required"]}
        assert required == set(REQUIRED.get(entry["kind"], {}))


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_switched_on_and_off(client: Client, kind: str) -> None:
    answer = client.post("/sim/faults", {"kind": kind, **REQUIRED.get(kind, {})})
    assert answer.status == 200
    assert answer.json()["kind"] == kind
    assert client.active_faults() == [answer.json()]
    assert client.delete("/sim/faults").json() == {"cleared": 1}
    assert client.active_faults() == []
    assert client.errcode() == 0


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        ({}, "kind", "latency"),
        ({"kind": "lateness"}, "kind", "latency"),
        ({"kind": ["latency"]}, "kind", "latency"),
        ({"kind": "latency", "median": 3}, "median", "median_ms"),
        ({"kind": "reset", "seconds": 3}, "seconds", "it takes none besides endpoint"),
        ({"kind": "latency", "median_ms": "3"}, "median_ms", "valid number"),
        ({"kind": "latency", "median_ms": 10, "tail_ms": 9}, None, "tail_ms is below median_ms"),
        ({"kind": "hang", "seconds": 301}, "seconds", "300"),
        ({"kind": "status"}, "status", "required"),
        ({"kind": "status", "status": 199}, "status", "200"),
        ({"kind": "errcode", "errcode": 1.5}, "errcode", "integer"),
        ({"kind": "api_down"}, "hosts", "required"),
        ({"kind": "api_down", "hosts": []}, "hosts", "at least 1"),
        ({"kind": "reset", "times": 0}, "times", "1"),
        ({"kind": "reset", "times": True}, "times", "integer"),
        ({"kind": "reset", "every": 0}, "every", "1"),
        ({"kind": "wrong_secret", "errcode": 40013}, "errcode", "40001"),
        ({"kind": "token_superseded", "appid": 7}, "appid", "valid string"),
        ({"kind": "reset", "probability": 1.1}, "probability", "1"),
        ({"kind": "reset", "endpoint": "/sns/oauth2"}, "endpoint", PATH),
        ({"kind": "reset", "endpoint": None}, "endpoint", PATH),
        ({"kind": "reset", "endpoint": [PATH]}, "endpoint", PATH),
        ({"kind": "missing_field", "field": "errcode"}, "field", "session_key"),
        ({"kind": "redirect", "location": "/\r\nx: y"}, "location", "pattern"),
        ({"kind": "content_type", "value": "a\nb"}, "value", "pattern"),
    ],
)
def test_a_faulty_fault_is_told_which_field_and_what_is_allowed(
    client: Client, body: dict[str, Any], field: str | None, hint: str
) -> None:
    answer = client.post("/sim/faults", body)
    assert answer.status == 400
    assert answer.json()["field"] == field
    assert hint in answer.json()["error"]
    assert field is None or answer.json()["allowed"]
    assert client.active_faults() == []


def test_a_fault_ends_after_so_many_times(client: Client) -> None:
    client.fault("errcode", errcode=-1, times=3)
    assert [client.errcode() for _ in range(3)] == [-1, -1, -1]
    assert client.active_faults() == []
    assert client.errcode() == 0


def test_a_fault_tells_how_often_it_struck(client: Client) -> None:
    client.fault("errcode", errcode=-1)
    client.errcode()
    client.errcode("0unknown")
    assert [fault["fired"] for fault in client.active_faults()] == [1]


def test_a_draw_that_spares_a_call_uses_up_no_time(client: Client) -> None:
    client.fault("errcode", errcode=-1, probability=0.5, times=2)
    assert [client.errcode() for _ in range(30)].count(-1) == 2
    assert client.active_faults() == []


def test_a_fault_can_strike_every_third_call_and_so_many_times(client: Client) -> None:
    client.fault("errcode", errcode=-1, every=3, times=2)
    struck = [client.errcode() for _ in range(9)]
    assert struck == [0, 0, -1, 0, 0, -1, 0, 0, 0]


def test_a_call_that_a_fault_does_not_apply_to_is_not_counted_as_its_turn(client: Client) -> None:
    client.fault("blocked_user", user="alice", every=2)
    users = ("alice", "bob", "bob", "alice", "alice")
    assert [client.errcode(client.log_in(user)) for user in users] == [0, 0, 0, 40226, 0]


def test_a_fault_concerns_its_hosts_only(client: Client) -> None:
    client.fault("html_502", hosts=["API.test", "exact.test:81"])

    def status(host: str) -> int:
        return client.get(PATH, headers={"host": host}).status

    hosts = ("api.test", "api.TEST:8001", "exact.test:81", "exact.test", "api2.test")
    assert [status(host) for host in hosts] == [502, 502, 502, 200, 200]


def test_a_fault_aimed_at_the_endpoint_strikes_it(client: Client) -> None:
    client.fault("html_502", endpoint=PATH)
    assert client.exchange().status == 502
    assert client.stable().status == 200


def test_the_control_routes_are_spared(client: Client) -> None:
    client.fault("html_502")
    for uri in ("/", "/sim/stats", "/sim/faults"):
        assert client.get(uri).status == 200


def test_a_fault_that_ends_the_call_leaves_later_ones_unspent(client: Client) -> None:
    client.fault("html_502", times=1)
    client.fault("html_200", times=1)
    client.fault("errcode", errcode=-1, times=1)
    statuses = [client.exchange() for _ in range(2)]
    assert [answer.status for answer in statuses] == [502, 200]
    assert client.errcode() == -1
