"""/sns/jscode2session: a login code is exchanged for a session_key and the user's ids.

Parameters count in the query string only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.call import Call
from service.simulator.errcodes import Refusal, not_in_whitelist, refusal
from service.simulator.wire import SNS

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.state.codes import LoginCode
    from service.simulator.state.world import App, Grant

PATH = "/sns/jscode2session"


async def jscode2session(request: SimulatorRequest) -> HTTPResponse | None:
    """Exchange a login code."""
    call = Call(request, PATH)
    return await call.answer(_exchange, reply_format=SNS, code=call.query.get("js_code"))


def _exchange(call: Call) -> dict[str, Any] | Refusal:
    app = _check_caller(call)
    if isinstance(app, Refusal):
        return app
    text = call.query.get("js_code")
    if not text:
        return refusal(41008)
    code = call.world.find_code(text, appid=app.appid)
    if code is None:
        return refusal(40029)
    grant = _redeem(call, code)
    if isinstance(grant, Refusal):
        return grant
    unionid = {} if grant.unionid is None else {"unionid": grant.unionid}
    return {"session_key": grant.session_key, "openid": grant.openid, **unionid}


def _check_caller(call: Call) -> App | Refusal:
    """Return the app that calls, if it may."""
    query = call.query
    app = call.world.apps.get(query.get("appid", ""))
    found: App | Refusal
    if call.method != "GET" or not query.get("appid"):
        found = refusal(41002)
    elif app is None:
        found = refusal(40013)
    elif not query.get("secret"):
        found = refusal(41004)
    elif query.get("grant_type") != "authorization_code":
        found = refusal(40002)
    elif query["secret"] != app.secret:
        found = refusal(40125)
    elif not call.faults.admits(call.ip):
        found = not_in_whitelist(call.ip)
    else:
        found = app
    return found


def _redeem(call: Call, code: LoginCode) -> Grant | Refusal:
    """Return what the code stands for. Only success, or a fault that says so, uses it up."""
    if code.used:
        return refusal(40163)
    if call.faults.blocks(code.user):
        return refusal(40226)
    if not call.world.take_quota(code.user):
        return refusal(45011)
    if (forced := call.faults.errcode()) is not None:
        if forced.uses_code:
            call.world.redeem(code)
        return forced.refusal
    return call.world.redeem(code) or refusal(40163)
