"""For the operator's other back ends, behind a token of their own."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from sanic import Blueprint

from service.core.errors import InvalidRequest, OperatorTokenRefused, UnknownAppid
from service.http.responses import success
from service.http.single_header import single_header

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.http.request import AppRequest

internal = Blueprint("internal")


# Not guarded by a session: INTERNAL_TOKEN is.
@internal.get("/internal/access-token", ctx_public=True)
async def show_access_token(request: AppRequest) -> HTTPResponse:
    """The access_token that all of the operator's services share; `appid` if there are several.

    Asking WeChat for one elsewhere would be counted against the same quota. `dead` is one
    that WeChat has refused (40001, 42001): if it is still the one that is kept, another is
    fetched.
    """
    context = request.app.ctx
    await _check(request)
    apps = context.settings.apps
    appid = request.args.get("appid") or (next(iter(apps)) if len(apps) == 1 else "")
    if appid not in apps:
        raise UnknownAppid
    dead = request.args.get("dead")
    if dead and await context.services.access_tokens.discard_value(apps[appid], dead):
        context.services.events.record("access_token_discarded", appid=appid, by="INTERNAL_TOKEN")
    token = await context.services.access_tokens.get(apps[appid])
    return success(request, {"accessToken": token.value, "expiresIn": token.expires_in})


async def _check(request: AppRequest) -> None:
    """Raise OperatorTokenRefused without INTERNAL_TOKEN as a Bearer token, or if none is set.

    Wrong ones are counted, and refused with RateLimited from some number on; the
    right one is always good, so that nobody can shut its holders out. Two that differ
    are none: nothing is learnt by them, so they are not counted.
    """
    context = request.app.ctx
    wanted = context.settings.internal_token
    try:
        scheme, _, given = single_header(request, "Authorization").partition(" ")
    except InvalidRequest:
        raise OperatorTokenRefused from None
    if wanted is None or scheme.lower() != "bearer":
        raise OperatorTokenRefused
    if not hmac.compare_digest(given.encode(errors="replace"), wanted.get_secret_value().encode()):
        # Those whose address is not known are counted as one.
        await context.services.limits.count(
            "operator_token_per_address", request.info.client_address or ""
        )
        raise OperatorTokenRefused
