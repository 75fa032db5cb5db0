"""/wxa/resetusersessionkey: replaces the user's session_key, the current one being proven.

What is not told publicly, and is our reading: more than 5 resets of a user in a minute
are too many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.call import Call
from service.simulator.endpoints.credentials import check_signature
from service.simulator.errcodes import Refusal, refusal
from service.simulator.wire import success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

PATH = "/wxa/resetusersessionkey"


async def resetusersessionkey(request: SimulatorRequest) -> HTTPResponse | None:
    """Give a new key, which voids the one that signed."""
    return await Call(request, PATH).answer(_reset)


def _reset(call: Call) -> dict[str, Any] | Refusal:
    visit = check_signature(call)
    if isinstance(visit, Refusal):
        return visit
    openid = call.query["openid"]
    if not call.world.take_reset_quota(appid=visit.appid, openid=openid):
        return refusal(45011)
    if (forced := call.faults.errcode()) is not None:
        return forced.refusal
    session_key = call.world.session_keys.reset(appid=visit.appid, user=visit.user)
    return success(openid=openid, session_key=session_key)
