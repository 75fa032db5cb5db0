"""The /sim/stats route: what was asked of the simulator so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic.response import json

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest


async def show_stats(request: SimulatorRequest) -> HTTPResponse:
    """Return the counters."""
    return json(request.app.ctx.stats.view())


async def reset_stats(request: SimulatorRequest) -> HTTPResponse:
    """Set the counters to zero and return them."""
    request.app.ctx.stats.reset()
    return json(request.app.ctx.stats.view())
