"""Logging in, looking at the session, logging out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sanic import Blueprint

from service.core.errors import InvalidRequest, SessionError
from service.core.login_request import LoginRequest
from service.http import logging_in
from service.http.appid import appid_of
from service.http.dead_sessions import count_dead_session
from service.http.responses import success
from service.http.routes.body import Base64, Body, Text, Word, encrypted_in, read_body, read_query
from service.http.routes.views import session_view, user_view
from service.http.session_id import session_id_of

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.core.models import LoggedIn
    from service.http.request import AppRequest

auth = Blueprint("auth")

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


class LoginBody(Body):
    """`POST /login`; with `encryptedData` and `iv`, a profile comes along."""

    code: Word
    appid: Word | None = None
    device: Word | None = None
    encryptedData: Base64 | None = None  # noqa: N815 # WeChat's word
    iv: Base64 | None = None
    rawData: Text | None = None  # noqa: N815 # WeChat's word
    signature: Word | None = None


class PhoneLoginBody(LoginBody):
    """`POST /login/phone`: `code` is the phone number button's, `loginCode` that of `wx.login`."""

    loginCode: Word  # noqa: N815 # the wire's word


@auth.post("/login", ctx_public=True)
async def log_in(request: AppRequest) -> HTTPResponse:
    """Exchange a `wx.login` code for a session."""
    body = read_body(request, LoginBody)
    return success(request, await _logged_in(request, body, login_code=body.code))


@auth.get("/wx/onlogin", ctx_public=True)
async def on_login(request: AppRequest) -> HTTPResponse:
    """The tutorials' form of the same: the code in the query, the id at the top level too."""
    body = read_query(request, LoginBody)
    data = await _logged_in(request, body, login_code=body.code)
    return success(request, data, top_level={"sessionid": data["sessionid"]})


async def log_in_by_phone(request: AppRequest) -> HTTPResponse:
    """Exchange a phone code and a `wx.login` code for the session of the number's owner."""
    body = read_body(request, PhoneLoginBody)
    return success(
        request,
        await _logged_in(request, body, login_code=body.loginCode, phone_code=body.code),
    )


for _path in ("/login/phone", "/loginByPhone"):
    auth.add_route(log_in_by_phone, _path, methods=("POST",), ctx_public=True, name=_path[-7:])


@auth.post("/logout", ctx_public=True)
async def log_out(request: AppRequest) -> HTTPResponse:
    """End the caller's session; 200 also when it is dead already.

    A 401 would make the client log in again in order to log out.
    """
    try:
        session_id = session_id_of(request)
    except SessionError:
        return success(request, {"ended": False})
    ended = await request.app.ctx.services.login.log_out(session_id)
    if not ended:
        await count_dead_session(request)
    return success(request, {"ended": ended})


@auth.get("/session")
async def show_session(request: AppRequest) -> HTTPResponse:
    """What is left of the caller's session.

    The session is good without the user database; while that is away the user
    is an id and nothing else.
    """
    session = request.ctx.session
    user = await request.app.ctx.services.profiles.find(session)
    shown = user_view(user) if user else {"id": session.user_id}
    return success(request, {**session_view(session), "user": shown})


async def _logged_in(
    request: AppRequest, body: LoginBody, *, login_code: str, phone_code: str | None = None
) -> dict[str, Any]:
    answer: LoggedIn = await logging_in.log_in(
        request,
        LoginRequest(
            code=login_code,
            appid=body.appid or appid_of(request),
            device=body.device,
            idempotency_key=_idempotency_key(request),
            address=request.info.client_address,
            phone_code=phone_code,
            encrypted=encrypted_in(body.encryptedData, body.iv),
            raw_data=body.rawData,
            signature=body.signature,
        ),
    )
    return {
        "sessionid": answer.session_id.text,
        "expiresIn": answer.expires_in,
        "isNewUser": answer.is_new,
        "user": user_view(answer.user),
    }


def _idempotency_key(request: AppRequest) -> str | None:
    keys = request.headers.getall("idempotency-key", ())
    if not keys:
        return None
    if len(keys) > 1 or not _IDEMPOTENCY_KEY.fullmatch(keys[0]):
        raise InvalidRequest("Idempotency-Key", "up to 128 printable characters, once")
    return str(keys[0])
