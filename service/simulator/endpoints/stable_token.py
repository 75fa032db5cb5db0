"""/cgi-bin/stable_token: the access_token that all of an app's servers share.

Parameters count in a JSON body only. What is not told publicly, and is our reading: a
forced refresh that comes within 30 seconds of the last, or after 20 on a day, is an
ordinary call; a forced refresh ends a token that still overlaps, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.call import Call
from service.simulator.endpoints.credentials import check_secret
from service.simulator.errcodes import Refusal, refusal

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

PATH = "/cgi-bin/stable_token"


async def stable_token(request: SimulatorRequest) -> HTTPResponse | None:
    """Give everybody the same token."""
    return await Call(request, PATH).answer(_fetch)


def _fetch(call: Call) -> dict[str, Any] | Refusal:
    if call.method != "POST":
        return refusal(43002)
    params = call.posted_object()
    if isinstance(params, Refusal):
        # Unlike the /wxa/ endpoints, this one takes such a body for one without parameters.
        return refusal(41002)
    app = check_secret(call, params)
    if isinstance(app, Refusal):
        return app
    if (forced := call.faults.errcode()) is not None:
        return forced.refusal
    now = call.world.clock()
    is_forced = params.get("force_refresh") is True
    return call.world.tokens.stable(app.appid, force=is_forced, now=now).fields(now)
