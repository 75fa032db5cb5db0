"""The /cgi-bin/ routes: access_tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from service.simulator.endpoints import stable_token as stable
from service.simulator.endpoints import token as plain_token
from service.simulator.endpoints.call import respond
from service.simulator.errcodes import Refusal
from service.simulator.wire import API

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.access_tokens import AccessToken


async def token(request: SimulatorRequest) -> HTTPResponse | None:
    """Give a new token, which supersedes the one before."""
    return await respond(request, plain_token.PATH, _fetch, family=API)


async def stable_token(request: SimulatorRequest) -> HTTPResponse | None:
    """Give everybody the same token."""
    return await respond(request, stable.PATH, _fetch_stable, family=API)


def _fetch(request: SimulatorRequest, faults: CallFaults) -> dict[str, Any] | Refusal:
    outcome = plain_token.fetch(
        request.app.ctx.world,
        method=request.method,
        query=dict(parse_qsl(request.query_string)),
        ip=request.ip,
        faults=faults,
    )
    return _fields(request, outcome)


def _fetch_stable(request: SimulatorRequest, faults: CallFaults) -> dict[str, Any] | Refusal:
    outcome = stable.fetch_stable(
        request.app.ctx.world,
        method=request.method,
        raw=request.body,
        ip=request.ip,
        faults=faults,
    )
    return _fields(request, outcome)


def _fields(request: SimulatorRequest, outcome: AccessToken | Refusal) -> dict[str, Any] | Refusal:
    if isinstance(outcome, Refusal):
        return outcome
    now = request.app.ctx.world.clock()
    return {"access_token": outcome.text, "expires_in": outcome.seconds_left(now)}
