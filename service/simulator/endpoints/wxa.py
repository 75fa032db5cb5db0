"""The /wxa/ routes: calls with a token."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from service.simulator.endpoints import checksession as keys
from service.simulator.endpoints import getuserphonenumber as phones
from service.simulator.endpoints import msg_sec_check as texts
from service.simulator.endpoints.call import respond
from service.simulator.endpoints.posted import posted_json
from service.simulator.errcodes import Refusal
from service.simulator.wire import API, hint, request_id

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.faults.call_faults import CallFaults


async def getuserphonenumber(request: SimulatorRequest) -> HTTPResponse | None:
    """Exchange a phone code for the number."""
    body = posted_json(request.body)
    code = None if isinstance(body, Refusal) else body.get("code")
    rules = partial(_tell_phone, body)
    return await respond(
        request, phones.PATH, rules, family=API, code=code if isinstance(code, str) else None
    )


async def checksession(request: SimulatorRequest) -> HTTPResponse | None:
    """Say whether a server holds the user's current session_key."""
    return await respond(request, keys.PATH, _check_session, family=API)


async def resetusersessionkey(request: SimulatorRequest) -> HTTPResponse | None:
    """Replace the user's session_key."""
    return await respond(request, keys.RESET_PATH, _reset_session_key, family=API)


async def msg_sec_check(request: SimulatorRequest) -> HTTPResponse | None:
    """Judge a text."""
    return await respond(request, texts.PATH, _check_text, family=API)


def _query(request: SimulatorRequest) -> dict[str, str]:
    return dict(parse_qsl(request.query_string))


def _tell_phone(
    body: dict[str, Any] | Refusal, request: SimulatorRequest, faults: CallFaults
) -> dict[str, Any] | Refusal:
    world = request.app.ctx.world
    outcome = phones.tell_phone(
        world, method=request.method, query=_query(request), body=body, faults=faults
    )
    if isinstance(outcome, Refusal):
        if outcome.errcode in phones.HINTED:
            return Refusal(outcome.errcode, outcome.stem + hint(world.rng))
        return outcome
    phone_info = outcome.phone.payload(appid=outcome.appid, timestamp=int(outcome.issued_at))
    return {"errcode": 0, "errmsg": "ok", "phone_info": phone_info}


def _check_session(request: SimulatorRequest, faults: CallFaults) -> dict[str, Any] | Refusal:
    refused = keys.check_session(
        request.app.ctx.world, method=request.method, query=_query(request), faults=faults
    )
    return refused or {"errcode": 0, "errmsg": "ok"}


def _reset_session_key(request: SimulatorRequest, faults: CallFaults) -> dict[str, Any] | Refusal:
    query = _query(request)
    outcome = keys.reset_session_key(
        request.app.ctx.world, method=request.method, query=query, faults=faults
    )
    if isinstance(outcome, Refusal):
        return outcome
    return {"errcode": 0, "errmsg": "ok", "openid": query["openid"], "session_key": outcome}


def _check_text(request: SimulatorRequest, faults: CallFaults) -> dict[str, Any] | Refusal:
    world = request.app.ctx.world
    outcome = texts.check_text(
        world,
        method=request.method,
        query=_query(request),
        raw=request.body,
        faults=faults,
    )
    if isinstance(outcome, Refusal):
        return outcome
    if outcome is None:
        return {"errcode": 0, "errmsg": "ok"}
    return texts.verdict_fields(outcome, trace_id=request_id(now=world.clock(), rng=world.rng))
