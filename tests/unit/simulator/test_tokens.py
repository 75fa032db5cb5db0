"""How long tokens live and what ends them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.simulator.harness import (
    APPID,
    NOT_LATEST,
    SISTER_APPID,
    STABLE_TOKEN,
    TOKEN,
    Client,
    assert_wxa_refused,
)

if TYPE_CHECKING:
    from tests.unit.simulator.harness import Clock


@pytest.mark.parametrize("uri", [TOKEN, STABLE_TOKEN])
def test_a_token_lives_two_hours(client: Client, uri: str) -> None:
    answer = client.plain() if uri == TOKEN else client.stable()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    pattern = r'\{"access_token":"66_[-_0-9A-Za-z]{133}","expires_in":7200\}'
    assert re.fullmatch(pattern, answer.body.decode())


def test_each_fetch_gives_a_new_token_and_the_one_before_lives_300_seconds_more(
    client: Client, clock: Clock
) -> None:
    first, second = client.plain_token(), client.plain_token()
    assert first != second
    clock.advance(299)
    assert [client.errcode_with(token) for token in (first, second)] == [40029, 40029]
    clock.advance(1)
    assert [client.errcode_with(token) for token in (first, second)] == [40001, 40029]


def test_a_superseded_token_is_told_of_the_stable_ones(client: Client, clock: Clock) -> None:
    token = client.plain_token()
    client.plain_token()
    clock.advance(300)
    assert_wxa_refused(client.look_up("x", token=token), 40001, NOT_LATEST)


@pytest.mark.parametrize("kind", ["plain", "stable"])
def test_a_token_expires_after_two_hours(client: Client, clock: Clock, kind: str) -> None:
    token = client.plain_token() if kind == "plain" else client.token()
    clock.advance(7199)
    assert client.errcode_with(token) == 40029
    clock.advance(1)
    assert_wxa_refused(client.look_up("x", token=token), 42001, "access_token expired")


def test_a_fetch_lengthens_no_token_that_is_near_its_end(client: Client, clock: Clock) -> None:
    token = client.plain_token()
    clock.advance(7100)
    client.plain_token()
    clock.advance(100)
    assert client.errcode_with(token) == 42001


def test_everybody_gets_the_same_stable_token_with_the_time_it_has_left(
    client: Client, clock: Clock
) -> None:
    token = client.token()
    clock.advance(6899.5)
    assert client.stable().json() == {"access_token": token, "expires_in": 300}
    clock.advance(0.5)
    renewed = client.stable().json()
    assert renewed["access_token"] != token
    assert renewed["expires_in"] == 7200
    clock.advance(299)
    assert client.errcode_with(token) == 40029
    clock.advance(1)
    assert client.errcode_with(token) == 42001
    assert client.errcode_with(renewed["access_token"]) == 40029


def test_the_two_sorts_of_token_leave_each_other_alone(client: Client, clock: Clock) -> None:
    plain, stable = client.plain_token(), client.token()
    client.stable(force=True)
    assert client.errcode_with(plain) == 40029
    stable = client.token()
    client.plain_token()
    clock.advance(301)
    assert client.token() == stable
    assert client.errcode_with(stable) == 40029


def test_tokens_belong_to_their_app(client: Client, clock: Clock) -> None:
    here, sister = client.plain_token(), client.plain_token(SISTER_APPID)
    assert client.token() != client.token(SISTER_APPID)
    clock.advance(301)
    assert [client.errcode_with(token) for token in (here, sister)] == [40029, 40029]


def test_a_forced_refresh_voids_the_token_at_once(client: Client, clock: Clock) -> None:
    clock.advance(-6900)
    overlapping = client.token()
    clock.advance(6900)
    current = client.token()
    forced = client.stable(force=True).json()
    assert forced["expires_in"] == 7200
    assert client.token() == forced["access_token"]
    assert client.errcode_with(forced["access_token"]) == 40029
    assert [client.errcode_with(token) for token in (overlapping, current)] == [40001, 40001]


def test_refreshes_cannot_be_forced_within_30_seconds(client: Client, clock: Clock) -> None:
    first = client.stable(force=True).json()
    clock.advance(29)
    again = client.stable(force=True).json()
    assert again == {"access_token": first["access_token"], "expires_in": 7171}
    clock.advance(1)
    assert client.stable(force=True).json()["access_token"] != first["access_token"]


def test_refreshes_can_be_forced_20_times_a_day(client: Client, clock: Clock) -> None:
    tokens = set()
    for _ in range(22):
        tokens.add(client.stable(force=True).json()["access_token"])
        clock.advance(31)
    assert len(tokens) == 20
    clock.advance(86_400)
    before = client.token()
    assert client.stable(force=True).json()["access_token"] != before


@pytest.mark.parametrize("value", ["true", 1, None, False])
def test_only_true_forces_a_refresh(client: Client, value: Any) -> None:
    token = client.token()
    assert client.stable(force_refresh=value).json()["access_token"] == token


def test_the_2001st_token_of_a_day_is_too_many_for_its_app_only(
    client: Client, clock: Clock
) -> None:
    clock.advance(-16 * 3600)  # midnight in Beijing
    world = client.app.ctx.world
    assert all(world.take_token_quota(APPID) for _ in range(1999))
    client.plain_token()
    clock.advance(86_399)
    assert_wxa_refused(client.plain(), 45009, "reach max api daily quota limit")
    client.plain_token(SISTER_APPID)
    client.token()
    clock.advance(1)
    client.plain_token()


def test_lives_and_overlap_can_be_set(clock: Clock) -> None:
    client = Client(clock, token_life_seconds=10, token_overlap_seconds=2, token_daily_quota=2)
    try:
        first = client.token()
        clock.advance(8)
        assert client.stable().json()["expires_in"] == 10
        assert client.errcode_with(first) == 40029
        assert [client.plain_token() for _ in range(2)]
        assert client.plain().json()["errcode"] == 45009
    finally:
        client.close()


def test_tokens_long_gone_are_forgotten_and_good_ones_are_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.simulator.state.access_tokens._REMEMBERED", 20)
    tokens = client.app.ctx.world.tokens
    good = client.token()
    for number in range(100):
        token = tokens.fetch(SISTER_APPID, now=client.clock.now - 9000 - 400 * (99 - number))
    assert len(tokens) <= 21
    assert client.errcode_with(good) == 40029
    assert client.errcode_with(token.text) == 42001
