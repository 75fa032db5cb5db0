"""/wxa/checksession and /wxa/resetusersessionkey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.simulator.crypto import login_state_signature
from tests.unit.simulator.harness import (
    APPID,
    CHECK_SESSION,
    NOT_LATEST,
    RESET_KEY,
    SISTER_APPID,
    Client,
    assert_wxa_refused,
    counters,
    with_query,
)

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Answer, Clock

BOTH = pytest.mark.parametrize("path", [CHECK_SESSION, RESET_KEY])
NEVER_SEEN = "o" + "-" * 27


def ask(client: Client, path: str, session: dict[str, str], **overrides: str | None) -> Answer:
    """Ask as a server does that holds ``session``."""
    query: dict[str, str | None] = {
        "openid": session["openid"],
        "signature": login_state_signature("", session_key=session["session_key"]),
        "sig_method": "hmac_sha256",
        **overrides,
    }
    if "access_token" not in query:
        query["access_token"] = client.token()
    return client.get(with_query(path, **query))


def test_the_current_key_passes(client: Client) -> None:
    answer = ask(client, CHECK_SESSION, client.identify())
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.body == b'{"errcode":0,"errmsg":"ok"}'


@BOTH
def test_a_key_that_was_replaced_does_not_sign(client: Client, clock: Clock, path: str) -> None:
    session = client.identify()
    clock.advance(60)
    client.log_in()
    assert_wxa_refused(ask(client, path, session), 87009, "invalid signature")


@BOTH
@pytest.mark.parametrize("signature", [None, "", "x", "é", "0" * 64])
def test_a_wrong_signature_is_invalid(client: Client, path: str, signature: str | None) -> None:
    answer = ask(client, path, client.identify(), signature=signature)
    assert_wxa_refused(answer, 87009, "invalid signature")


@BOTH
@pytest.mark.parametrize("sig_method", [None, "", "hmac_sha1", "HMAC_SHA256"])
def test_there_is_one_method_of_signing(client: Client, path: str, sig_method: str | None) -> None:
    answer = ask(client, path, client.identify(), sig_method=sig_method, signature="x")
    assert_wxa_refused(answer, 87008, "invalid sig_method")


@BOTH
@pytest.mark.parametrize("openid", [None, "", "alice", NEVER_SEEN[:-1], f"{NEVER_SEEN}-"])
def test_an_openid_must_look_like_one(client: Client, path: str, openid: str | None) -> None:
    answer = ask(client, path, client.identify(), openid=openid, sig_method="x")
    assert_wxa_refused(answer, 40003, "invalid openid")


@BOTH
def test_an_openid_of_another_app_is_invalid(client: Client, path: str) -> None:
    session = client.identify(appid=SISTER_APPID)
    assert_wxa_refused(ask(client, path, session), 40003, "invalid openid")
    token = client.token(SISTER_APPID)
    assert ask(client, path, session, access_token=token).json()["errcode"] == 0


@BOTH
def test_whoever_was_never_seen_has_no_key(client: Client, path: str) -> None:
    answer = ask(client, path, client.identify(), openid=NEVER_SEEN)
    assert_wxa_refused(answer, 87007, "session_key is not existd or expired")


@BOTH
def test_a_key_ends_after_three_days(client: Client, clock: Clock, path: str) -> None:
    session = client.identify()
    clock.advance(259_199)
    assert ask(client, CHECK_SESSION, session).json()["errcode"] == 0
    clock.advance(1)
    answer = ask(client, path, session)
    assert_wxa_refused(answer, 87007, "session_key is not existd or expired")


@BOTH
def test_the_token_is_checked_first(client: Client, path: str) -> None:
    session = {"openid": "x", "session_key": "x"}
    assert_wxa_refused(ask(client, path, session, access_token="x"), 40001, NOT_LATEST)
    answer = ask(client, path, session, access_token=None)
    assert_wxa_refused(answer, 41001, "access_token missing")
    assert_wxa_refused(client.post(path, {}), 43001, "require GET method")


@BOTH
def test_an_error_can_be_injected_and_changes_nothing(client: Client, path: str) -> None:
    session = client.identify()
    client.fault("errcode", errcode=-1, endpoint=path, times=1)
    assert_wxa_refused(ask(client, path, session), -1, "system error")
    assert client.current_key() == session["session_key"]


def test_a_reset_gives_a_new_key_and_voids_the_old_one(client: Client) -> None:
    session = client.identify()
    answer = ask(client, RESET_KEY, session).json()
    assert list(answer) == ["errcode", "errmsg", "openid", "session_key"]
    assert (answer["errcode"], answer["errmsg"]) == (0, "ok")
    assert answer["openid"] == session["openid"]
    assert answer["session_key"] == client.current_key() != session["session_key"]
    assert ask(client, CHECK_SESSION, answer).json()["errcode"] == 0
    assert ask(client, CHECK_SESSION, session).json()["errcode"] == 87009


def test_a_reset_lengthens_no_life(client: Client, clock: Clock) -> None:
    session = client.identify()
    clock.advance(259_000)
    renewed = ask(client, RESET_KEY, session).json()
    clock.advance(199)
    assert ask(client, CHECK_SESSION, renewed).json()["errcode"] == 0
    clock.advance(1)
    assert ask(client, CHECK_SESSION, renewed).json()["errcode"] == 87007


def test_the_sixth_reset_in_a_minute_is_too_many_for_its_user_only(
    client: Client, clock: Clock
) -> None:
    session = client.identify()
    for _ in range(5):
        session = ask(client, RESET_KEY, session).json()
        assert session["errcode"] == 0
    text = "api minute-quota reach limit, must slower, retry next minute"
    assert_wxa_refused(ask(client, RESET_KEY, session), 45011, text)
    assert ask(client, RESET_KEY, client.identify("bob")).json()["errcode"] == 0
    clock.advance(60)
    assert ask(client, RESET_KEY, session).json()["errcode"] == 0


def test_an_app_has_a_limit_of_resets_too(client: Client) -> None:
    world: Any = client.app.ctx.world
    for number in range(60_000):
        assert world.take_reset_quota(appid=APPID, openid=str(number))
    assert ask(client, RESET_KEY, client.identify()).json()["errcode"] == 45011
    assert world.take_reset_quota(appid=SISTER_APPID, openid="x")


def test_stats_count_checks(client: Client) -> None:
    session = client.identify()
    token = client.token()
    client.delete("/sim/stats")
    ask(client, CHECK_SESSION, session, access_token=token)
    ask(client, RESET_KEY, session, access_token=token)
    ask(client, RESET_KEY, session, access_token=token)
    assert client.get("/sim/stats").json() == counters(
        **{
            CHECK_SESSION: {"total": 1, "errcodes": {"0": 1}},
            RESET_KEY: {"total": 2, "errcodes": {"0": 1, "87009": 1}},
        }
    )
