"""/wxa/business/getuserphonenumber: a phone code is exchanged for the number.

What is not told publicly, and is our reading: a code sent with the ``openid`` of
somebody else is invalid and stays good; so is a body without a code; a code is looked
for before its app is compared with the token's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.call import Call
from service.simulator.endpoints.credentials import check_token
from service.simulator.errcodes import Refusal, refusal
from service.simulator.state.identities import openid_of
from service.simulator.wire import hint, success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.state.codes import PhoneCode
    from service.simulator.state.world import App

PATH = "/wxa/business/getuserphonenumber"

_HINTED = frozenset({40013, 40029, 47001})
"""Errcodes whose text ends with a hint before the request id."""


async def getuserphonenumber(request: SimulatorRequest) -> HTTPResponse | None:
    """Exchange a phone code."""
    call = Call(request, PATH)
    body = call.posted_object()
    code = None if isinstance(body, Refusal) else body.get("code")
    return await call.answer(_tell_phone, code=code if isinstance(code, str) else None)


def _tell_phone(call: Call) -> dict[str, Any] | Refusal:
    code = _redeem(call)
    if not isinstance(code, Refusal):
        phone = code.phone.payload(appid=code.appid, timestamp=int(code.issued_at))
        return success(phone_info=phone)
    if code.errcode in _HINTED:
        return Refusal(code.errcode, code.text + hint(call.world.rng))
    return code


def _redeem(call: Call) -> PhoneCode | Refusal:
    """Return the code that was sent. Only success, or a fault that says so, uses it up."""
    if call.method != "POST":
        return refusal(43002)
    app = check_token(call)
    if isinstance(app, Refusal):
        return app
    body = call.posted_object()
    if isinstance(body, Refusal):
        return body
    code = _find(call, app, body)
    if isinstance(code, Refusal):
        return code
    if (forced := call.faults.errcode()) is not None:
        code.used = forced.uses_code
        return forced.refusal
    code.used = True
    return code


def _find(call: Call, app: App, body: dict[str, Any]) -> PhoneCode | Refusal:
    """Return the code if it is good for the app and, where one is named, the user."""
    text, openid = body.get("code", ""), body.get("openid", "")
    if not isinstance(text, str) or not isinstance(openid, str):
        return refusal(47001)
    if "openid" in body and call.faults.refuses_openid(app.appid):
        return refusal(47001)
    code = call.world.find_phone_code(text)
    if code is None:
        return refusal(40029)
    if code.appid != app.appid:
        return refusal(40013)
    if code.used or (openid and openid != openid_of(appid=code.appid, user=code.user)):
        return refusal(40029)
    return code
