"""The /sim/ routes that stand in for the app on the phone: what it hands a mini-program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanic.response import json

from service.simulator.control.bodies import BadBodyError, json_object
from service.simulator.crypto import BLOCK, encrypt, raw_data_signature
from service.simulator.state.identities import openid_of
from service.simulator.state.phones import parse_phone
from service.simulator.state.profiles import Profile

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.state.world import World

_EXAMPLE = '{"user": "alice"}'
_USER_LENGTH = 128
_NICKNAME_LENGTH = 256
_URL_LENGTH = 2000
_PHONE_EXAMPLES = ["13800000001", "+852 61234567"]


async def log_in(request: SimulatorRequest) -> HTTPResponse:
    """Do what wx.login does."""
    world = request.app.ctx.world
    user, appid = _user_and_app(world, json_object(request, example=_EXAMPLE))
    return json({"code": world.log_in(user=user, appid=appid)})


async def give_phone(request: SimulatorRequest) -> HTTPResponse:
    """Do what the button that asks for the phone number does."""
    world = request.app.ctx.world
    body = json_object(request, example=_EXAMPLE)
    user, appid = _user_and_app(world, body)
    if "phone" in body:
        text = body["phone"]
        phone = parse_phone(text) if isinstance(text, str) else None
        if phone is None:
            raise BadBodyError(
                f"phone: send a number like {' or '.join(_PHONE_EXAMPLES)}",
                field="phone",
                allowed=_PHONE_EXAMPLES,
            )
        world.phones.set(user, phone)
    code = world.press_phone_button(user=user, appid=appid)
    payload = code.phone.payload(appid=appid, timestamp=int(code.issued_at))
    return json({"code": code.text, **_encrypt(world, payload, user=user, appid=appid)})


async def give_profile(request: SimulatorRequest) -> HTTPResponse:
    """Do what wx.getUserProfile does, or wx.getUserInfo when ids are asked for."""
    world = request.app.ctx.world
    body = json_object(request, example=_EXAMPLE)
    user, appid = _user_and_app(world, body)
    default = Profile()
    profile = Profile(
        _text(body, "nickName", default=default.nickname, longest=_NICKNAME_LENGTH),
        _text(body, "avatarUrl", default=default.avatar_url, longest=_URL_LENGTH),
    )
    with_ids = body.get("openid", False)
    if not isinstance(with_ids, bool):
        raise BadBodyError("openid: send true or false", field="openid", allowed=[True, False])
    timestamp = int(world.visit(user=user, appid=appid))
    payload = profile.payload(appid=appid, timestamp=timestamp)
    if with_ids:
        payload = profile.payload(
            appid=appid,
            timestamp=timestamp,
            openid=openid_of(appid=appid, user=user),
            unionid=world.unionid(user=user, appid=appid),
        )
    sealed = _encrypt(world, payload, user=user, appid=appid)
    raw_data = profile.raw_data()
    session_key = world.session_key(user=user, appid=appid)
    signature = raw_data_signature(raw_data, session_key=session_key)
    return json({**sealed, "rawData": raw_data, "signature": signature})


async def rotate_session_key(request: SimulatorRequest) -> HTTPResponse:
    """Replace the session_key at once, as data pre-fetch does: servers hold a stale one."""
    world = request.app.ctx.world
    user, appid = _user_and_app(world, json_object(request, example=_EXAMPLE))
    now = world.visit(user=user, appid=appid)
    world.session_keys.rotate(appid=appid, user=user, now=now)
    return json({"rotated": True})


def _encrypt(world: World, payload: dict[str, Any], *, user: str, appid: str) -> dict[str, str]:
    session_key = world.session_key(user=user, appid=appid)
    return encrypt(payload, session_key=session_key, iv=world.rng.randbytes(BLOCK))


def _user_and_app(world: World, body: dict[str, Any]) -> tuple[str, str]:
    """Return the user and the appid; BadBodyError if either cannot be told from the body."""
    user = body.get("user")
    if not isinstance(user, str) or not 1 <= len(user) <= _USER_LENGTH:
        raise BadBodyError(
            f"user: send any name of 1 to {_USER_LENGTH} characters, for example {_EXAMPLE}",
            field="user",
        )
    appids = sorted(world.apps)
    appid = body.get("appid", appids[0] if len(appids) == 1 else None)
    if appid not in appids:
        raise BadBodyError(
            f"appid: send one that SIMULATOR_APPS lists: {', '.join(appids)}",
            field="appid",
            allowed=appids,
        )
    return user, appid


def _text(body: dict[str, Any], field: str, *, default: str, longest: int) -> str:
    value = body.get(field, default)
    if not isinstance(value, str) or len(value) > longest:
        raise BadBodyError(f"{field}: send a text of at most {longest} characters", field=field)
    return value
