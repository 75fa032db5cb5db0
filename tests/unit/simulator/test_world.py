from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from service.simulator.state.world import Grant, World
from tests.unit.simulator.harness import (
    APPID,
    SISTER_APPID,
    UNBOUND_APPID,
    Clock,
    make_settings,
    seeded,
)

if TYPE_CHECKING:
    from service.simulator.state.codes import LoginCode


def make_world(clock: Clock, *, seed: int = 7, **rules: float) -> World:
    return World(make_settings(**rules), clock=clock, rng=seeded(seed))


def find(world: World, text: str, appid: str = APPID) -> LoginCode:
    code = world.find_code(text, appid=appid)
    assert code is not None
    return code


def log_in_and_redeem(world: World, user: str = "alice", appid: str = APPID) -> Grant:
    grant = world.redeem(find(world, world.log_in(user=user, appid=appid), appid))
    assert grant is not None
    return grant


def test_a_code_is_32_letters_and_digits_beginning_with_0(clock: Clock) -> None:
    world = make_world(clock)
    codes = {world.log_in(user="alice", appid=APPID) for _ in range(200)}
    assert len(codes) == 200
    assert all(re.fullmatch(r"0[0-9A-Za-z]{31}", code) for code in codes)


def test_a_code_can_be_redeemed_once(clock: Clock) -> None:
    world = make_world(clock)
    code = find(world, world.log_in(user="alice", appid=APPID))
    assert world.redeem(code) is not None
    assert world.redeem(code) is None


def test_a_code_is_unknown_to_another_app(clock: Clock) -> None:
    world = make_world(clock)
    text = world.log_in(user="alice", appid=APPID)
    assert world.find_code(text, appid=SISTER_APPID) is None
    assert world.find_code(text, appid=APPID) is not None


def test_a_code_lives_exactly_as_long_as_configured(clock: Clock) -> None:
    world = make_world(clock, code_life_seconds=300)
    text = world.log_in(user="alice", appid=APPID)
    clock.advance(300)
    assert world.find_code(text, appid=APPID) is not None
    clock.advance(0.001)
    assert world.find_code(text, appid=APPID) is None


def test_expired_codes_take_no_room(clock: Clock) -> None:
    world = make_world(clock, code_life_seconds=300)
    for _ in range(50):
        world.log_in(user="alice", appid=APPID)
    clock.advance(301)
    world.log_in(user="alice", appid=APPID)
    assert len(world.codes) == 1


def test_a_session_key_is_16_bytes_in_base64(clock: Clock) -> None:
    key = log_in_and_redeem(make_world(clock)).session_key
    assert len(key) == 24
    assert len(base64.b64decode(key, validate=True)) == 16


def test_logins_within_the_interval_share_a_session_key(clock: Clock) -> None:
    world = make_world(clock, session_key_interval_seconds=60)
    first = log_in_and_redeem(world).session_key
    clock.advance(59.9)
    assert log_in_and_redeem(world).session_key == first
    assert world.session_keys.current(appid=APPID, user="alice", now=clock.now) == first


def test_a_login_after_the_interval_replaces_the_session_key(clock: Clock) -> None:
    world = make_world(clock, session_key_interval_seconds=60)
    first = log_in_and_redeem(world).session_key
    clock.advance(60)
    second = log_in_and_redeem(world).session_key
    assert second != first
    assert world.session_keys.current(appid=APPID, user="alice", now=clock.now) == second


def test_without_rotation_the_session_key_stays(clock: Clock) -> None:
    world = make_world(clock, session_key_rotation=0.0)
    first = log_in_and_redeem(world).session_key
    clock.advance(3600)
    assert log_in_and_redeem(world).session_key == first


def test_the_session_key_rotates_about_as_often_as_the_chance_says(clock: Clock) -> None:
    world = make_world(clock, session_key_interval_seconds=0, session_key_rotation=0.5)
    keys = {log_in_and_redeem(world).session_key for _ in range(400)}
    assert 150 < len(keys) < 250


def test_an_old_code_yields_the_key_of_its_own_login(clock: Clock) -> None:
    """So that a server which redeems codes out of order ends up with a void key."""
    world = make_world(clock, session_key_interval_seconds=60)
    old = world.log_in(user="alice", appid=APPID)
    clock.advance(61)
    new = world.log_in(user="alice", appid=APPID)
    new_grant, old_grant = world.redeem(find(world, new)), world.redeem(find(world, old))
    assert new_grant is not None
    assert old_grant is not None
    assert old_grant.session_key != new_grant.session_key
    assert (
        world.session_keys.current(appid=APPID, user="alice", now=clock.now)
        == new_grant.session_key
    )


def test_two_users_and_two_apps_have_their_own_session_keys(clock: Clock) -> None:
    world = make_world(clock)
    keys = {
        log_in_and_redeem(world, "alice", APPID).session_key,
        log_in_and_redeem(world, "bob", APPID).session_key,
        log_in_and_redeem(world, "alice", SISTER_APPID).session_key,
    }
    assert len(keys) == 3


def test_nobody_has_a_session_key_before_the_first_login(clock: Clock) -> None:
    assert make_world(clock).session_keys.current(appid=APPID, user="alice", now=clock.now) is None


def test_ids_are_28_characters_beginning_with_o(clock: Clock) -> None:
    grant = log_in_and_redeem(make_world(clock))
    assert re.fullmatch(r"o[-_0-9A-Za-z]{27}", grant.openid)
    assert grant.unionid is not None
    assert re.fullmatch(r"o[-_0-9A-Za-z]{27}", grant.unionid)


def test_ids_survive_a_restart_and_session_keys_do_not(clock: Clock) -> None:
    before = log_in_and_redeem(make_world(clock, seed=1))
    after = log_in_and_redeem(make_world(clock, seed=2))
    assert (after.openid, after.unionid) == (before.openid, before.unionid)
    assert after.session_key != before.session_key


def test_ids_are_pinned(clock: Clock) -> None:
    """Databases of earlier runs hold them: a new scheme would make everybody a stranger."""
    grant = log_in_and_redeem(make_world(clock))
    assert grant.openid == "oooGIoafcwupyNK3Ab1No_Vgv3O3"
    assert grant.unionid == "o18WQTgNX0np97oz5cf5koiYbi37"


def test_a_user_has_an_openid_per_app_and_a_unionid_per_platform_account(clock: Clock) -> None:
    world = make_world(clock)
    here, sister = (log_in_and_redeem(world, "alice", appid) for appid in (APPID, SISTER_APPID))
    assert here.openid != sister.openid
    assert here.unionid == sister.unionid
    assert log_in_and_redeem(world, "bob").openid != here.openid
    assert log_in_and_redeem(world, "bob").unionid != here.unionid


def test_an_unbound_app_yields_no_unionid(clock: Clock) -> None:
    assert log_in_and_redeem(make_world(clock), "alice", UNBOUND_APPID).unionid is None


def test_the_quota_counts_per_user_and_minute(clock: Clock) -> None:
    world = make_world(clock, minute_quota=3)
    assert [world.take_quota("alice") for _ in range(4)] == [True, True, True, False]
    assert world.take_quota("bob")
    clock.advance(60)
    assert world.take_quota("alice")


def test_login_to_an_unknown_app_is_a_programming_error(clock: Clock) -> None:
    with pytest.raises(KeyError):
        make_world(clock).log_in(user="alice", appid="wx-nobody")
