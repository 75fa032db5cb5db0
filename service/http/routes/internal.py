"""For the operator's other back ends, behind a token of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint

from service.core.errors import UnknownAppid
from service.http.operator import operator_of
from service.http.responses import success

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
    token = context.settings.internal_token
    await operator_of(request, {"internal": token} if token else {})
    apps = context.settings.apps
    appid = request.args.get("appid") or (next(iter(apps)) if len(apps) == 1 else "")
    if appid not in apps:
        raise UnknownAppid
    dead = request.args.get("dead")
    if dead and await context.services.access_tokens.discard_value(apps[appid], dead):
        context.services.events.record("access_token_discarded", appid=appid, by="INTERNAL_TOKEN")
    found = await context.services.access_tokens.get(apps[appid])
    return success(request, {"accessToken": found.value, "expiresIn": found.expires_in})
