"""What the phone hands a mini-program: codes and phone numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from service.simulator.state.phones import made_up
from tests.unit.simulator.harness import (
    APPID,
    SECRET,
    SISTER_APPID,
    START,
    UNBOUND_APPID,
    Client,
    decrypt,
)

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Clock

ROUTES = ("/sim/login", "/sim/phone", "/sim/profile", "/sim/session_key")
WATERMARK = {"timestamp": int(START), "appid": APPID}


def test_the_button_gives_a_code_and_the_phone_encrypted(client: Client) -> None:
    session = client.identify()
    sealed = client.press()
    assert list(sealed) == ["code", "encryptedData", "iv"]
    payload = orjson.loads(decrypt(sealed, session["session_key"]))
    assert payload == client.look_up(sealed["code"]).json()["phone_info"]
    assert list(payload) == ["phoneNumber", "purePhoneNumber", "countryCode", "watermark"]
    assert payload["watermark"] == WATERMARK


def test_whoever_never_logged_in_gets_a_key_that_the_login_will_tell(client: Client) -> None:
    sealed = client.press()
    assert decrypt(sealed, client.identify()["session_key"])


def test_it_is_the_key_of_the_last_login_that_encrypts(client: Client, clock: Clock) -> None:
    stale = client.identify()
    clock.advance(61)
    sealed_before = client.press()
    code = client.log_in()
    sealed = client.press()
    session = client.exchange(code).json()
    assert decrypt(sealed_before, stale["session_key"])
    assert decrypt(sealed, session["session_key"])
    with pytest.raises(ValueError, match="padding"):
        decrypt(sealed, stale["session_key"])


def test_every_app_has_keys_of_its_own(client: Client) -> None:
    here, sister = client.identify(), client.identify(appid=SISTER_APPID)
    sealed = client.press(appid=SISTER_APPID)
    assert orjson.loads(decrypt(sealed, sister["session_key"]))["watermark"]["appid"] == (
        SISTER_APPID
    )
    with pytest.raises(ValueError, match="padding"):
        decrypt(sealed, here["session_key"])


def test_a_key_can_be_replaced_behind_the_servers_back(client: Client) -> None:
    session = client.identify()
    answer = client.post("/sim/session_key", {"user": "alice", "appid": APPID})
    assert answer.json() == {"rotated": True}
    assert client.current_key() != session["session_key"]
    renewed = client.identify()
    assert decrypt(client.press(), renewed["session_key"])
    assert renewed["session_key"] != session["session_key"]
    assert renewed["openid"] == session["openid"]


def test_a_key_that_ended_is_replaced(client: Client, clock: Clock) -> None:
    session = client.identify()
    clock.advance(259_200)
    sealed = client.press()
    renewed = client.identify()["session_key"]
    assert renewed != session["session_key"]
    assert decrypt(sealed, renewed)


def test_ivs_differ(client: Client) -> None:
    assert len({client.press()["iv"] for _ in range(5)}) == 5


def test_a_phone_is_remembered_for_its_user_in_every_app(client: Client) -> None:
    client.press(phone="13800001111")
    client.press("bob", phone="+1 2025550123")
    code = client.press("alice", SISTER_APPID)["code"]
    token = client.token(SISTER_APPID)
    phone = client.look_up(code, token=token).json()["phone_info"]
    assert phone["phoneNumber"] == "13800001111"
    bob = client.look_up(client.press("bob")["code"]).json()["phone_info"]
    assert bob["phoneNumber"] == "+12025550123"


def test_a_code_yields_the_phone_of_its_time(client: Client) -> None:
    old = client.press(phone="13800001111")["code"]
    client.press(phone="13800002222")
    assert client.look_up(old).json()["phone_info"]["phoneNumber"] == "13800001111"


def test_a_mainland_phone_may_come_with_its_country(client: Client) -> None:
    phone = client.look_up(client.press(phone="+86 13800001111")["code"]).json()["phone_info"]
    assert phone["phoneNumber"] == phone["purePhoneNumber"] == "13800001111"
    assert phone["countryCode"] == "86"


@pytest.mark.parametrize(
    "phone",
    [
        *("", "1380000111", "23800001111", "+85261234567", "+86 61234567", "+0 1234567"),
        *("13800001111\n", "+852 6123-4567", "１３８００００１１１１", 13800001111, None),
    ],
)
def test_a_phone_of_no_use_is_told_what_to_send(client: Client, phone: Any) -> None:
    answer = client.post("/sim/phone", {"user": "alice", "appid": APPID, "phone": phone})
    assert answer.status == 400
    assert answer.json()["field"] == "phone"
    assert answer.json()["allowed"] == ["13800000001", "+852 61234567"]


def test_made_up_phones_follow_from_the_name() -> None:
    assert made_up("alice") == made_up("alice") != made_up("bob")
    assert made_up("alice").pure == "13800007945"
    names = ["", "alice", "bob", "用户", "7", "x" * 128, "9" * 128]
    assert all(re.fullmatch(r"1380000\d{4}", made_up(name).pure) for name in names)


def test_numbered_users_never_share_a_phone() -> None:
    assert len({made_up(f"user-{number}") for number in range(10_000)}) == 10_000


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_needs_a_user_and_among_several_apps_one_of_them(
    client: Client, route: str
) -> None:
    assert "send a JSON object" in client.post(route, b"x").json()["error"]
    assert client.post(route, {"appid": APPID}).json()["field"] == "user"
    answer = client.post(route, {"user": "alice"})
    assert (answer.status, answer.json()["field"]) == (400, "appid")
    assert answer.json()["allowed"] == [APPID, SISTER_APPID, UNBOUND_APPID]
    assert client.get(route).status == 405


def test_faults_spare_the_phone(client: Client) -> None:
    client.fault("html_502")
    for route in ROUTES:
        assert client.post(route, {"user": "alice", "appid": APPID}).status == 200


def test_no_answer_of_the_phone_tells_a_key_or_a_secret(client: Client) -> None:
    body = {"user": "alice", "appid": APPID, "openid": True}
    bodies = [client.post(route, body).body for route in ROUTES]
    key = client.current_key().encode()
    assert all(key not in body and SECRET.encode() not in body for body in bodies)
