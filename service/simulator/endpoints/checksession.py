"""/wxa/checksession: says whether a server holds the user's current session_key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.call import Call
from service.simulator.endpoints.credentials import check_signature
from service.simulator.errcodes import Refusal
from service.simulator.wire import success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

PATH = "/wxa/checksession"


async def checksession(request: SimulatorRequest) -> HTTPResponse | None:
    """Check the signature that the server made with the key."""
    return await Call(request, PATH).answer(_check)


def _check(call: Call) -> dict[str, Any] | Refusal:
    visit = check_signature(call)
    if isinstance(visit, Refusal):
        return visit
    if (forced := call.faults.errcode()) is not None:
        return forced.refusal
    return success()
