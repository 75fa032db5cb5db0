"""The /sns/ routes: the rules behind them, WeChat's wire in front."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from service.simulator.endpoints.call import respond
from service.simulator.endpoints.jscode2session import PATH, exchange
from service.simulator.errcodes import Refusal
from service.simulator.wire import SNS

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.faults.call_faults import CallFaults


async def jscode2session(request: SimulatorRequest) -> HTTPResponse | None:
    """Exchange a login code for a session_key and the user's ids."""
    query = dict(parse_qsl(request.query_string))
    rules = partial(_exchange, query)
    return await respond(request, PATH, rules, family=SNS, code=query.get("js_code"))


def _exchange(
    query: dict[str, str], request: SimulatorRequest, faults: CallFaults
) -> dict[str, Any] | Refusal:
    outcome = exchange(
        request.app.ctx.world,
        method=request.method,
        query=query,
        ip=request.ip,
        faults=faults,
    )
    if isinstance(outcome, Refusal):
        return outcome
    fields = {"session_key": outcome.session_key, "openid": outcome.openid}
    if outcome.unionid is not None:
        fields["unionid"] = outcome.unionid
    return fields
