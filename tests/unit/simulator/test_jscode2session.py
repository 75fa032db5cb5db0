"""The thirteen rows of the exchange, over HTTP, and the bytes of its answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
import pytest

from service.simulator.app import create_app
from tests.unit.simulator.harness import (
    APPID,
    PATH,
    RID,
    SECRET,
    SISTER_APPID,
    UNBOUND_APPID,
    Client,
    Clock,
    make_settings,
    seeded,
    target,
)
from tests.unit.simulator.sockets import connected, serving

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Answer


def assert_refused(answer: Answer, errcode: int, text: str) -> None:
    """Check every byte but the noise of the rid."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain"
    expected = f'{{"errcode":{errcode},"errmsg":"{text}, rid: '
    assert re.fullmatch(re.escape(expected) + RID + r'"\}', answer.body.decode())


def test_a_post_has_no_appid(client: Client) -> None:
    uri = target(js_code=client.log_in())
    assert_refused(client.post(uri, b""), 41002, "appid missing")
    form = {"appid": APPID, "secret": SECRET}
    assert_refused(client.post(PATH, form), 41002, "appid missing")


@pytest.mark.parametrize("appid", [None, ""])
def test_an_appid_is_required(client: Client, appid: str | None) -> None:
    assert_refused(client.exchange(appid=appid, secret=None), 41002, "appid missing")


@pytest.mark.parametrize("appid", ["wx0", f'"{APPID}"', f"{APPID} "])
def test_the_appid_must_be_known(client: Client, appid: str) -> None:
    assert_refused(client.exchange(appid=appid, secret=None), 40013, "invalid appid")


def test_a_secret_is_required(client: Client) -> None:
    answer = client.exchange(secret=None, grant_type="password")
    assert_refused(answer, 41004, "appsecret missing")


@pytest.mark.parametrize("grant_type", [None, "", "client_credential"])
def test_the_grant_type_must_be_right(client: Client, grant_type: str | None) -> None:
    answer = client.exchange(grant_type=grant_type, secret="wrong")
    assert_refused(answer, 40002, "invalid grant_type")


def test_the_secret_must_be_right(client: Client) -> None:
    client.fault("ip_whitelist", ips=[])
    assert_refused(client.exchange(secret=SECRET.upper()), 40125, "invalid appsecret")


def test_a_caller_outside_the_whitelist_is_told_its_address(client: Client) -> None:
    client.fault("ip_whitelist", ips=["10.1.2.3"])
    answer = client.get(target(js_code=None))
    text = "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist"
    assert_refused(answer, 40164, text)


def test_a_caller_in_the_whitelist_gets_through(client: Client) -> None:
    client.fault("ip_whitelist", ips=["10.1.2.3", "127.0.0.1"])
    assert client.errcode() == 0


@pytest.mark.parametrize("code", [None, ""])
def test_a_code_is_required(client: Client, code: str | None) -> None:
    assert_refused(client.get(target(js_code=code)), 41008, "missing code")


@pytest.mark.parametrize("code", ["0unknown", "the code is a mock one", "the code", "\x00", "码"])
def test_an_unknown_code_is_invalid(client: Client, code: str) -> None:
    assert_refused(client.exchange(code), 40029, "invalid code")


def test_another_apps_code_is_invalid_and_stays_good_for_its_own(client: Client) -> None:
    code = client.log_in(appid=SISTER_APPID)
    assert_refused(client.exchange(code), 40029, "invalid code")
    assert client.errcode(code, appid=SISTER_APPID) == 0


def test_a_code_expires_after_300_seconds(client: Client, clock: Clock) -> None:
    in_time, late = client.log_in(), client.log_in()
    clock.advance(300)
    assert client.errcode(in_time) == 0
    clock.advance(1)
    assert_refused(client.exchange(late), 40029, "invalid code")


def test_a_used_code_is_refused_as_used_until_it_would_have_expired(
    client: Client, clock: Clock
) -> None:
    code = client.log_in()
    assert client.errcode(code) == 0
    client.fault("blocked_user", user="alice")
    clock.advance(300)
    assert_refused(client.exchange(code), 40163, "code been used")
    clock.advance(1)
    assert_refused(client.exchange(code), 40029, "invalid code")


def test_a_blocked_user_is_refused_and_nobody_else(client: Client) -> None:
    client.fault("blocked_user", user="alice")
    assert_refused(client.exchange(client.log_in("alice")), 40226, "code blocked")
    assert client.errcode(client.log_in("bob")) == 0


def test_the_101st_exchange_in_a_minute_is_too_many_for_its_user_only(
    client: Client, clock: Clock
) -> None:
    assert {client.errcode() for _ in range(100)} == {0}
    code = client.log_in()
    text = "api minute-quota reach limit, must slower, retry next minute"
    assert_refused(client.exchange(code), 45011, text)
    assert client.errcode(client.log_in("bob")) == 0
    clock.advance(60)
    assert client.errcode(code) == 0, "a call over the quota must not use the code up"


def test_a_busy_wechat_refuses_and_leaves_the_code_good(client: Client) -> None:
    client.fault("errcode", errcode=-1, times=1)
    code = client.log_in()
    assert_refused(client.exchange(code), -1, "system error")
    assert client.errcode(code) == 0


def test_the_quota_goes_before_an_injected_error(clock: Clock) -> None:
    client = Client(clock, minute_quota=1)
    try:
        assert client.errcode() == 0
        client.fault("errcode", errcode=-1)
        assert client.errcode() == 45011
    finally:
        client.close()


def test_success_has_no_errcode_and_its_fields_stand_in_order(client: Client) -> None:
    answer = client.exchange()
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain"
    body = answer.body.decode()
    key, ident = r"[0-9A-Za-z+]|\\/", r"o[-_0-9A-Za-z]{27}"
    pattern = rf'\{{"session_key":"(?:{key}){{22}}==","openid":"{ident}","unionid":"{ident}"\}}'
    assert re.fullmatch(pattern, body)


def test_an_unbound_app_gets_no_unionid(client: Client) -> None:
    answer = client.exchange(client.log_in(appid=UNBOUND_APPID), appid=UNBOUND_APPID)
    assert list(answer.json()) == ["session_key", "openid"]


def test_parameters_may_come_in_any_order_with_others_among_them(client: Client) -> None:
    query = f"grant_type=authorization_code&x=1&js_code={client.log_in()}&secret={SECRET}"
    assert "openid" in client.get(f"{PATH}?{query}&appid={APPID}").json()


def test_the_rid_tells_the_servers_time(client: Client, clock: Clock) -> None:
    clock.advance(12345)
    rid = client.exchange("0x").json()["errmsg"].rsplit(" ", 1)[1]
    assert int(rid.split("-")[0], 16) == int(clock.now)
    assert client.exchange("0x").json()["errmsg"].rsplit(" ", 1)[1] != rid


def test_the_date_is_the_servers_time(client: Client) -> None:
    assert client.exchange("0x").headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"


async def test_slashes_are_escaped_on_the_wire_and_connections_stay_open(clock: Clock) -> None:
    app = create_app(settings=make_settings(), clock=clock, rng=seeded())
    slashes = 0
    async with serving(app) as port, connected(port) as wire:
        for number in range(40):
            code = app.ctx.world.log_in(user=f"user-{number}", appid=APPID)
            wire.send(target(js_code=code))
            head, body = await wire.receive()
            lines = head.decode().lower().split("\r\n")
            assert lines[0] == "http/1.1 200 ok"
            assert "content-type: text/plain" in lines
            assert "connection: keep-alive" in lines
            assert f"content-length: {len(body)}" in lines
            assert not re.search(rb"[^\\]/", body)
            slashes += body.count(b"\\/")
            assert (
                app.ctx.world.session_keys.current(
                    appid=APPID, user=f"user-{number}", now=clock.now
                )
                == orjson.loads(body)["session_key"]
            )
    assert slashes > 5


async def test_of_simultaneous_redemptions_exactly_one_wins(clock: Clock) -> None:
    app = create_app(settings=make_settings(), clock=clock, rng=seeded())
    async with serving(app) as port, connected(port) as one, connected(port) as two:
        for number in range(20):
            code = app.ctx.world.log_in(user=f"user-{number}", appid=APPID)
            for wire in (one, two):
                wire.send(target(js_code=code))
            bodies = [orjson.loads((await wire.receive())[1]) for wire in (one, two)]
            assert sorted(body.get("errcode", 0) for body in bodies) == [0, 40163]


async def test_simulators_in_one_process_know_nothing_of_each_other(clock: Clock) -> None:
    first, second = (create_app(settings=make_settings(), clock=clock) for _ in range(2))
    code = first.ctx.world.log_in(user="alice", appid=APPID)
    async with serving(first) as here, serving(second) as there:
        async with connected(there) as wire:
            _, body = await wire.ask(target(js_code=code))
            assert body["errcode"] == 40029
        async with connected(here) as wire:
            _, body = await wire.ask(target(js_code=code))
            assert "openid" in body
