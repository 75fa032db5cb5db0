"""/cgi-bin/token: an access_token that supersedes the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.call import Call
from service.simulator.endpoints.credentials import check_secret
from service.simulator.errcodes import Refusal, refusal

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

PATH = "/cgi-bin/token"


async def token(request: SimulatorRequest) -> HTTPResponse | None:
    """Give a new token."""
    return await Call(request, PATH).answer(_fetch)


def _fetch(call: Call) -> dict[str, Any] | Refusal:
    if call.method != "GET":
        return refusal(43001)
    app = check_secret(call, call.query)
    if isinstance(app, Refusal):
        return app
    if not call.world.take_token_quota(app.appid):
        return refusal(45009)
    if (forced := call.faults.errcode()) is not None:
        return forced.refusal
    now = call.world.clock()
    return call.world.tokens.fetch(app.appid, now=now).fields(now)
