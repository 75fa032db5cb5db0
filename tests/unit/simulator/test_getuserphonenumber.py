from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from service.simulator.app import create_app
from service.simulator.state.identities import openid_of
from tests.unit.simulator.harness import (
    APPID,
    NOT_LATEST,
    PHONE,
    SISTER_APPID,
    STABLE_TOKEN,
    Client,
    assert_wxa_refused,
    counters,
    make_settings,
    seeded,
    with_query,
)
from tests.unit.simulator.sockets import connected, serving

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Answer, Clock


def assert_invalid(answer: Answer) -> None:
    assert_wxa_refused(answer, 40029, "invalid code HINT")


def test_a_code_yields_the_phone_and_its_fields_stand_in_order(
    client: Client, clock: Clock
) -> None:
    code = client.press(phone="13580006666")["code"]
    clock.advance(60)
    answer = client.look_up(code)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    expected = (
        '{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"13580006666",'
        '"purePhoneNumber":"13580006666","countryCode":"86",'
        f'"watermark":{{"timestamp":1800000000,"appid":"{APPID}"}}}}}}'
    )
    assert answer.body.decode() == expected, "the time is that of the button"


def test_a_foreign_phone_has_its_country(client: Client) -> None:
    phone = client.look_up(client.press(phone="+852 61234567")["code"]).json()["phone_info"]
    assert phone["phoneNumber"] == "+85261234567"
    assert phone["purePhoneNumber"] == "61234567"
    assert phone["countryCode"] == "852"


def test_the_country_can_be_a_number(client: Client) -> None:
    client.fault("country_code_number")
    assert client.look_up().json()["phone_info"]["countryCode"] == 86
    assert_invalid(client.look_up("x"))


def test_a_code_is_64_hexadecimal_digits(client: Client) -> None:
    codes = {client.press()["code"] for _ in range(20)}
    assert len(codes) == 20
    assert all(re.fullmatch(r"[0-9a-f]{64}", code) for code in codes)


def test_a_used_code_is_invalid(client: Client) -> None:
    code = client.press()["code"]
    assert client.look_up(code).json()["errcode"] == 0
    assert_invalid(client.look_up(code))


def test_a_code_lives_five_minutes(client: Client, clock: Clock) -> None:
    in_time, late = client.press()["code"], client.press()["code"]
    clock.advance(300)
    assert client.look_up(in_time).json()["errcode"] == 0
    clock.advance(1)
    assert_invalid(client.look_up(late))


def test_codes_of_login_and_phone_are_no_good_for_each_other(client: Client) -> None:
    login, phone = client.log_in(), client.press()["code"]
    assert_invalid(client.look_up(login))
    assert client.errcode(phone) == 40029
    assert client.errcode(login) == 0
    assert client.look_up(phone).json()["errcode"] == 0


@pytest.mark.parametrize("code", ["", "x", "the code is a mock one"])
def test_an_unknown_code_is_invalid(client: Client, code: str) -> None:
    assert_invalid(client.look_up(code))


def test_a_body_without_a_code_has_an_invalid_one(client: Client) -> None:
    assert_invalid(client.post(with_query(PHONE, access_token=client.token()), {}))


def test_another_apps_code_names_the_appid_and_stays_good(client: Client) -> None:
    code = client.press(appid=SISTER_APPID)["code"]
    assert_wxa_refused(client.look_up(code), 40013, "invalid appid HINT")
    assert client.look_up(code, token=client.token(SISTER_APPID)).json()["errcode"] == 0


def test_an_openid_must_be_that_of_the_codes_user_in_the_app(client: Client) -> None:
    code = client.press("alice")["code"]
    for user, appid in (("bob", APPID), ("alice", SISTER_APPID)):
        assert_invalid(client.look_up(code, openid=client.identify(user, appid)["openid"]))
    assert client.look_up(code, openid=client.identify("alice")["openid"]).json()["errcode"] == 0


@pytest.mark.parametrize("body", [b"code=x", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_a_format_error(client: Client, body: bytes) -> None:
    answer = client.post(with_query(PHONE, access_token=client.token()), body)
    assert_wxa_refused(answer, 47001, "data format error HINT")


@pytest.mark.parametrize("fields", [{"code": 7}, {"code": None}, {"openid": ["x"]}])
def test_a_field_that_is_no_text_is_a_format_error(client: Client, fields: dict[str, Any]) -> None:
    body = {"code": "x", **fields}
    answer = client.post(with_query(PHONE, access_token=client.token()), body)
    assert_wxa_refused(answer, 47001, "data format error HINT")


def test_an_empty_body_is_named_so(client: Client) -> None:
    answer = client.post(with_query(PHONE, access_token=client.token()), b"")
    assert_wxa_refused(answer, 44002, "empty post data")


def test_a_get_is_refused_before_its_token_is_looked_at(client: Client) -> None:
    assert_wxa_refused(client.get(PHONE), 43002, "require POST method")


@pytest.mark.parametrize("body", [b"", b"{", None])
def test_the_token_is_checked_before_the_body(
    client: Client, clock: Clock, body: bytes | None
) -> None:
    expired = client.token()
    clock.advance(7200)
    code = client.press()["code"]

    def post(**query: str) -> Answer:
        return client.post(with_query(PHONE, **query), {"code": code} if body is None else body)

    assert_wxa_refused(post(), 41001, "access_token missing")
    assert_wxa_refused(post(access_token=""), 41001, "access_token missing")
    assert_wxa_refused(post(access_token="66_x"), 40001, NOT_LATEST)
    assert_wxa_refused(post(access_token=expired), 42001, "access_token expired")
    assert client.look_up(code).json()["errcode"] == 0, "the code was not touched"


def test_an_app_may_lack_the_permission(client: Client) -> None:
    client.fault("not_entitled", appid=APPID)
    code = client.press(appid=SISTER_APPID)["code"]
    assert_wxa_refused(client.look_up("x"), 48001, "api unauthorized")
    assert client.look_up(code, token=client.token(SISTER_APPID)).json()["errcode"] == 0


def test_an_app_may_have_to_leave_the_openid_out(client: Client) -> None:
    client.fault("openid_refused", appid=APPID)
    pressed = client.press()
    openid = openid_of(appid=APPID, user="alice")
    assert_wxa_refused(
        client.look_up(pressed["code"], openid=openid), 47001, "data format error HINT"
    )
    assert client.look_up(pressed["code"]).json()["errcode"] == 0
    sister = client.press(appid=SISTER_APPID)["code"]
    named = openid_of(appid=SISTER_APPID, user="alice")
    answer = client.look_up(sister, token=client.token(SISTER_APPID), openid=named)
    assert answer.json()["errcode"] == 0


def test_an_injected_error_leaves_the_code_good_unless_it_is_told_to_use_it(
    client: Client,
) -> None:
    client.fault("errcode", errcode=-1, times=1, endpoint=PHONE)
    client.fault("errcode", errcode=40029, uses_code=True, times=1, endpoint=PHONE)
    code = client.press()["code"]
    assert_wxa_refused(client.look_up(code), -1, "system error")
    assert_invalid(client.look_up(code))
    assert_invalid(client.look_up(code))
    assert client.active_faults() == []


def test_a_lost_answer_has_used_the_code_up(client: Client) -> None:
    code, token = client.press()["code"], client.token()
    client.fault("empty_body", times=1)
    assert client.look_up(code, token=token).body == b""
    assert_invalid(client.look_up(code, token=token))


@pytest.mark.parametrize("value", [None, "x", []])
def test_a_phone_can_come_spoilt(client: Client, value: Any) -> None:
    token = client.token()
    client.fault("wrong_type", field="phone_info", value=value, times=1)
    client.fault("country_code_number")
    assert client.look_up(token=token).json()["phone_info"] == value
    client.fault("missing_field", field="phone_info")
    assert client.look_up(token=token).json() == {"errcode": 0, "errmsg": "ok"}


def test_stats_count_look_ups_and_codes_presented_again(client: Client) -> None:
    login, phone = client.log_in(), client.press()["code"]
    for code in (phone, phone, login, 7):
        client.look_up(code)
    client.exchange(login)
    client.exchange(login)
    assert client.get("/sim/stats").json() == counters(
        **{
            "/sns/jscode2session": {
                "total": 2,
                "errcodes": {"0": 1, "40163": 1},
                "repeatedCodes": 1,
            },
            STABLE_TOKEN: {"total": 4, "errcodes": {"0": 4}},
            PHONE: {
                "total": 4,
                "errcodes": {"0": 1, "40029": 2, "47001": 1},
                "repeatedCodes": 1,
            },
        }
    )


def test_expired_codes_take_no_room(client: Client, clock: Clock) -> None:
    for _ in range(5):
        client.press()
    clock.advance(301)
    client.press()
    assert len(client.app.ctx.world.phone_codes) == 1


async def test_of_simultaneous_look_ups_exactly_one_wins(clock: Clock) -> None:
    app = create_app(settings=make_settings(), clock=clock, rng=seeded())
    world = app.ctx.world
    uri = with_query(PHONE, access_token=world.tokens.fetch(APPID, now=clock.now).text)
    async with serving(app) as port, connected(port) as one, connected(port) as two:
        for _ in range(20):
            code = world.press_phone_button(user="alice", appid=APPID).text
            for wire in (one, two):
                wire.send(uri, method="POST", body=f'{{"code":"{code}"}}'.encode())
            bodies = [orjson.loads((await wire.receive())[1]) for wire in (one, two)]
            assert sorted(body["errcode"] for body in bodies) == [0, 40029]
