"""One call of a WeChat endpoint, with the faults that strike it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from sanic.response import HTTPResponse

from service.simulator.errcodes import Refusal
from service.simulator.faults.call_faults import CallFaults
from service.simulator.wire import Reply, error, http_date, request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.simulator.context import SimulatorContext, SimulatorRequest
    from service.simulator.wire import Family

    Rules: TypeAlias = Callable[[SimulatorRequest, CallFaults], "dict[str, Any] | Refusal"]
    """They do not wait, so that of two equal calls one comes first."""


async def respond(
    request: SimulatorRequest,
    endpoint: str,
    rules: Rules,
    *,
    family: Family,
    code: str | None = None,
) -> HTTPResponse | None:
    """Count the call, apply the rules and send what they decide, as far as the faults let it."""
    ctx = request.app.ctx
    ctx.stats.arrived(endpoint, code=code)
    faults = CallFaults(ctx.faults, endpoint=endpoint, host=request.headers.get("host", ""))
    is_over, response = await faults.on_arrival(request, ctx.world.rng)
    if is_over:
        return response
    now = ctx.world.clock() + faults.clock_skew()
    reply = _decide(ctx, endpoint, rules(request, faults), family, now)
    await faults.on_reply(request, reply)
    return to_response(reply, now=now)


def _decide(
    ctx: SimulatorContext,
    endpoint: str,
    outcome: dict[str, Any] | Refusal,
    family: Family,
    now: float,
) -> Reply:
    """Count the outcome and return it as it is worded."""
    if isinstance(outcome, Refusal):
        ctx.stats.decided(endpoint, errcode=outcome.errcode)
        outcome = error(outcome, family, rid=request_id(now=now, rng=ctx.world.rng))
    else:
        ctx.stats.decided(endpoint, errcode=0)
    return Reply(outcome, family.content_type)


def to_response(reply: Reply, *, now: float) -> HTTPResponse:
    """Return the reply as the framework sends it; WeChat answers 200 whatever the outcome."""
    return HTTPResponse(
        reply.encode(), headers={"date": http_date(int(now))}, content_type=reply.content_type
    )
