"""The wire of wafer2, for live mini-programs on wafer2-client-sdk 2.x (WAFER_COMPAT).

The form is that of Tencent's wafer2-node-sdk and wafer2-quickstart-nodejs; what
the client makes of each answer stands in its lib/login.js and lib/request.js:

    401 or code -1   forget the session, log in again, repeat the request, once
    anything else    is the mini-program's, a 503 included

So -1 means "log in again" on every route but the login itself, where it is the
one way to say no. Why it is like this: docs/adr/0014-wafer2-wire.md.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field
from sanic import Blueprint

from service.core.errors import LoginCodeUsed, ServiceError
from service.core.login_request import LoginRequest
from service.core.models import UserIdentity
from service.http import logging_in
from service.http.appid import appid_of
from service.http.responses import failure, success
from service.http.routes.body import Base64, Body, Word, encrypted_in, read_headers
from service.http.routes.views import UPLOADS

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.core.errors import SessionError
    from service.core.models import LoggedIn, User
    from service.http.request import AppRequest

wafer = Blueprint("wafer", url_prefix="/weapp")

_REFUSED: Final = -1


class LoginHeaders(Body):
    """What the client's `login()` sends; its `loginWithCode()` sends the code alone."""

    code: Word = Field(alias="X-WX-Code")
    encrypted_data: Base64 | None = Field(None, alias="X-WX-Encrypted-Data")
    iv: Base64 | None = Field(None, alias="X-WX-IV")


async def log_in(request: AppRequest) -> HTTPResponse:
    """Exchange a `wx.login` code for an `skey`, which is our session id.

    A user nobody has seen before is let in with the code alone; wafer2 asked
    for a `login()` with their profile first. Every error has the code -1.
    """
    try:
        answer, identity = await _logged_in(request)
    except ServiceError as error:
        return failure(request, error, code=_REFUSED)
    data = {
        "skey": answer.session_id.text,
        "userinfo": _userinfo(request, answer.user, identity),
        "time": int(time.time()),
    }
    return success(request, data)


# GET is the client's default; its option `method` may say POST.
wafer.add_route(log_in, "/login", methods=("GET", "POST"), ctx_public=True)


@wafer.get("/user")
async def show_user(request: AppRequest) -> HTTPResponse:
    """The caller as wafer2 showed them."""
    session = request.ctx.session
    user = await request.app.ctx.services.profiles.show(session)
    identity = UserIdentity(session.appid, session.openid, session.unionid)
    return success(request, _userinfo(request, user, identity))


async def answer_dead_session(request: AppRequest, error: SessionError) -> HTTPResponse:
    """A dead session, with the code -1 where the client knows no other.

    Their `wx.uploadFile` and `wx.request` read the code alone, on any route.
    """
    headers = request.headers
    by_skey = "x-wx-skey" in headers and "sessionid" not in headers
    old = by_skey or getattr(request.route, "path", "").startswith("weapp/")
    return failure(request, error, code=_REFUSED if old else None)


async def _logged_in(request: AppRequest) -> tuple[LoggedIn, UserIdentity]:
    given = read_headers(request, LoginHeaders)
    # No Idempotency-Key: the client has none, and the code would be one that can be guessed.
    answer = await logging_in.log_in(
        request,
        LoginRequest(
            code=given.code,
            appid=appid_of(request),
            address=request.info.client_address,
            encrypted=encrypted_in(given.encrypted_data, given.iv),
        ),
    )
    if answer.identity is None:  # a repeated answer, which takes an Idempotency-Key
        raise LoginCodeUsed
    return answer, answer.identity


def _userinfo(request: AppRequest, user: User, identity: UserIdentity) -> dict[str, Any]:
    """WeChat's fields, filled from our record.

    Gender and place are what WeChat has given for everybody since 2021. Its
    `watermark` is not made up.
    """
    return {
        "openId": identity.openid,
        **({"unionId": identity.unionid} if identity.unionid else {}),
        "nickName": user.nickname,
        "gender": 0,
        "language": "zh_CN",
        "city": "",
        "province": "",
        "country": "",
        "avatarUrl": _address(request, UPLOADS + user.avatar),
    }


def _address(request: AppRequest, path: str) -> str:
    """`path` with scheme and host: in a mini-program a bare path is a file of its package."""
    secure = request.app.ctx.settings.production or request.scheme == "https"
    return f"{'https' if secure else 'http'}://{request.host}{path}" if request.host else path
