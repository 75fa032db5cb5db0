"""The /sns/ routes: the rules behind them, WeChat's wire in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from service.simulator.call import Call, to_response
from service.simulator.errcodes import Refusal
from service.simulator.jscode2session import PATH, Normal, exchange
from service.simulator.wire import SNS_CONTENT_TYPE, Reply, request_id, sns_error

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorContext, SimulatorRequest
    from service.simulator.jscode2session import Conditions

_NORMAL = Normal()


async def jscode2session(request: SimulatorRequest) -> HTTPResponse | None:
    """Exchange a login code for a session_key and the user's ids."""
    ctx = request.app.ctx
    query = dict(parse_qsl(request.query_string))
    ctx.stats.arrived(PATH, code=query.get("js_code"))
    if ctx.board.is_quiet:
        now = ctx.world.clock()
        return to_response(_decide(ctx, request, query, _NORMAL, now), now=now)

    call = Call(ctx, PATH, request.headers.get("host", ""))
    is_over, response = await call.arrive(request)
    if is_over:
        return response
    now = call.now()
    return await call.answer(request, _decide(ctx, request, query, call, now), now)


def _decide(
    ctx: SimulatorContext,
    request: SimulatorRequest,
    query: dict[str, str],
    conditions: Conditions,
    now: float,
) -> Reply:
    """Apply the rules without waiting, so that of two equal calls one comes first."""
    outcome = exchange(
        ctx.world, method=request.method, query=query, ip=request.ip, conditions=conditions
    )
    fields: dict[str, Any]
    if isinstance(outcome, Refusal):
        ctx.stats.decided(PATH, errcode=outcome.errcode)
        fields = sns_error(outcome, rid=request_id(now=now, rng=ctx.world.rng))
    else:
        ctx.stats.decided(PATH, errcode=0)
        fields = {"session_key": outcome.session_key, "openid": outcome.openid}
        if outcome.unionid is not None:
            fields["unionid"] = outcome.unionid
    return Reply(fields, SNS_CONTENT_TYPE)
