"""Who gets a token of either sort, and what faults do to the giving."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.simulator.harness import (
    APPID,
    CREDENTIALS,
    NOT_LATEST,
    PATH,
    SECRET,
    SISTER_APPID,
    STABLE_TOKEN,
    TOKEN,
    Client,
    assert_wxa_refused,
    counters,
    with_query,
)


@pytest.mark.parametrize(
    ("overrides", "errcode", "text"),
    [
        ({"appid": None, "grant_type": None}, 41002, "appid missing"),
        ({"appid": "", "secret": None}, 41002, "appid missing"),
        ({"appid": "wx0", "grant_type": None, "secret": None}, 40013, "invalid appid"),
        ({"grant_type": None, "secret": None}, 40002, "invalid grant_type"),
        ({"grant_type": "authorization_code", "secret": "x"}, 40002, "invalid grant_type"),
        ({"secret": None}, 41004, "appsecret missing"),
        ({"secret": SECRET.upper()}, 40125, "invalid appsecret"),
    ],
)
def test_credentials_are_checked_in_order(
    client: Client, overrides: dict[str, Any], errcode: int, text: str
) -> None:
    client.fault("ip_whitelist", ips=[])
    assert_wxa_refused(client.plain(**overrides), errcode, text)
    assert_wxa_refused(client.stable(**overrides), errcode, text)


@pytest.mark.parametrize("appid", [7, [APPID], {"a": 1}, True])
def test_an_appid_that_is_no_text_is_unknown(client: Client, appid: Any) -> None:
    assert_wxa_refused(client.stable(appid=appid), 40013, "invalid appid")


def test_a_caller_outside_the_whitelist_gets_no_token(client: Client) -> None:
    client.fault("ip_whitelist", ips=["10.1.2.3"])
    text = "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist"
    assert_wxa_refused(client.plain(), 40164, text)
    assert_wxa_refused(client.stable(), 40164, text)


@pytest.mark.parametrize("errcode", [89503, 89506, 89507])
def test_an_ip_may_wait_for_the_admin(client: Client, errcode: int) -> None:
    client.fault("errcode", errcode=errcode, errmsg="wait", endpoint=STABLE_TOKEN)
    assert_wxa_refused(client.stable(), errcode, "wait")
    assert client.plain().json()["expires_in"] == 7200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"grant_type=client_credential&appid=" + APPID.encode()]
)
def test_a_stable_token_is_asked_for_in_json(client: Client, body: bytes) -> None:
    uri = with_query(STABLE_TOKEN, **CREDENTIALS)
    assert_wxa_refused(client.post(uri, body), 41002, "appid missing")


def test_each_endpoint_has_its_method(client: Client) -> None:
    stable = client.get(with_query(STABLE_TOKEN, **CREDENTIALS))
    assert_wxa_refused(stable, 43002, "require POST method")
    plain = client.post(with_query(TOKEN, **CREDENTIALS), CREDENTIALS)
    assert_wxa_refused(plain, 43001, "require GET method")


def test_a_wrong_secret_can_be_answered_as_documented(client: Client) -> None:
    client.fault("wrong_secret")
    assert_wxa_refused(client.plain(secret="x"), 40001, "invalid credential")
    assert_wxa_refused(client.stable(secret="x"), 40001, "invalid credential")
    assert client.errcode(secret="x") == 40125, "the exchange of codes is not concerned"


@pytest.mark.parametrize("kind", ["plain", "stable"])
def test_another_caller_can_supersede_the_token_once(client: Client, kind: str) -> None:
    get_token = client.plain_token if kind == "plain" else client.token
    token, phone = get_token(), client.press()["code"]
    client.fault("token_superseded", times=1)
    assert_wxa_refused(client.look_up(phone, token=token), 40001, NOT_LATEST)
    assert client.errcode_with(token) == 40001
    fresh = get_token()
    assert fresh != token
    assert client.look_up(phone, token=fresh).json()["errcode"] == 0, "the code was not touched"


def test_another_caller_can_supersede_the_token_every_so_many_calls(client: Client) -> None:
    client.fault("token_superseded", every=3)
    errcodes = [client.errcode_with(client.token()) for _ in range(7)]
    assert errcodes == [40029, 40029, 40001, 40029, 40029, 40001, 40029]


def test_superseding_waits_for_a_good_token_of_its_app(client: Client) -> None:
    client.fault("token_superseded", times=1, appid=SISTER_APPID)
    assert client.errcode_with("nonsense") == 40001
    assert client.errcode_with(client.token()) == 40029
    assert client.errcode_with(client.token(SISTER_APPID)) == 40001
    assert client.active_faults() == []


@pytest.mark.parametrize("value", ["text/plain", "application/json; encoding=utf-8"])
def test_the_content_type_of_a_token_can_be_another(client: Client, value: str) -> None:
    client.fault("content_type", value=value)
    assert client.stable().headers["content-type"] == value


@pytest.mark.parametrize("field", ["access_token", "expires_in"])
def test_a_token_can_come_spoilt(client: Client, field: str) -> None:
    client.fault("wrong_type", field=field, value=[], times=1)
    assert client.stable().json()[field] == []
    client.fault("missing_field", field=field, times=1)
    assert field not in client.stable().json()


def test_a_busy_wechat_gives_no_token(client: Client) -> None:
    client.fault("errcode", errcode=-1)
    assert_wxa_refused(client.plain(), -1, "system error")
    assert_wxa_refused(client.stable(), -1, "system error")


def test_an_exchange_of_codes_needs_no_token(client: Client) -> None:
    client.fault("html_502", endpoint=TOKEN)
    client.fault("html_502", endpoint=STABLE_TOKEN)
    assert client.get(PATH).status == 200
    assert client.plain().status == 502


def test_stats_count_fetches_of_tokens(client: Client) -> None:
    client.plain_token()
    client.stable()
    client.stable(secret="x")
    assert client.get("/sim/stats").json() == counters(
        **{
            TOKEN: {"total": 1, "errcodes": {"0": 1}},
            STABLE_TOKEN: {"total": 2, "errcodes": {"0": 1, "40125": 1}},
        }
    )
