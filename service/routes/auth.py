"""Logging in, looking at the session, logging out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints
from sanic import Blueprint

from service.answers import success
from service.errors import InvalidRequest, SessionError
from service.hooks import session_id_of
from service.login import LoginRequest
from service.routes.body import Body, read_body, read_query

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.context import AppRequest
    from service.models import OpenedSession

auth = Blueprint("auth")

_REFERER = re.compile(r"https://servicewechat\.com/([A-Za-z0-9_]{1,64})/", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)

Word = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class LoginBody(Body):
    """`POST /login`."""

    code: Word
    appid: Word | None = None
    device: Word | None = None


@auth.post("/login", ctx_public=True)
async def log_in(request: AppRequest) -> HTTPResponse:
    """Exchange a `wx.login` code for a session."""
    body = read_body(request, LoginBody)
    return success(request, await _opened(request, body))


@auth.get("/wx/onlogin", ctx_public=True)
async def on_login(request: AppRequest) -> HTTPResponse:
    """The tutorials' form of the same: the code in the query, the id at the top level too."""
    data = await _opened(request, read_query(request, LoginBody))
    return success(request, data, top_level={"sessionid": data["sessionid"]})


@auth.post("/logout", ctx_public=True)
async def log_out(request: AppRequest) -> HTTPResponse:
    """End the caller's session; 200 also when it is dead already.

    A 401 would make the client log in again in order to log out.
    """
    try:
        session_id = session_id_of(request)
    except SessionError:
        return success(request, {"ended": False})
    return success(request, {"ended": await request.app.ctx.services.login.log_out(session_id)})


@auth.get("/session")
async def show_session(request: AppRequest) -> HTTPResponse:
    """What is left of the caller's session."""
    session = request.ctx.session
    return success(
        request,
        {
            "expiresIn": session.expires_in,
            "issuedAt": session.issued_at // 1000,
            "device": session.device,
        },
    )


async def _opened(request: AppRequest, body: LoginBody) -> dict[str, Any]:
    opened: OpenedSession = await request.app.ctx.services.login.log_in(
        LoginRequest(
            code=body.code,
            appid=body.appid or _referring_appid(request),
            device=body.device,
            idempotency_key=_idempotency_key(request),
        )
    )
    return {"sessionid": opened.session_id.text, "expiresIn": opened.expires_in}


def _referring_appid(request: AppRequest) -> str | None:
    """The mini-program that WeChat names in the Referer, which its clients cannot set."""
    match = _REFERER.match(request.headers.getone("referer", ""))
    return match[1] if match else None


def _idempotency_key(request: AppRequest) -> str | None:
    key = request.headers.getone("idempotency-key", None)
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key", "up to 128 printable characters")
    return key
