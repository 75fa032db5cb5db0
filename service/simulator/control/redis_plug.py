"""The /sim/redis route: pulling the plug of the embedded Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic.response import json

from service.simulator.control.bodies import BadBodyError, json_object
from service.simulator.control.plug import NO_PLUG

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorApp, SimulatorRequest

_EXAMPLE = '{"plugged": false}'


async def show(request: SimulatorRequest) -> HTTPResponse:
    """Say whether Redis is plugged in."""
    plug = request.app.ctx.plug
    return json({"plugged": plug.plugged}) if plug.exists else _none()


async def turn(request: SimulatorRequest) -> HTTPResponse:
    """Unplug Redis or plug it in again; to repeat it changes nothing."""
    plugged = json_object(request, example=_EXAMPLE).get("plugged")
    if not isinstance(plugged, bool):
        raise BadBodyError(
            f"plugged: send true or false, for example {_EXAMPLE}",
            field="plugged",
            allowed=[True, False],
        )
    return json({"plugged": plugged}) if request.app.ctx.plug.set(plugged=plugged) else _none()


async def restore(app: SimulatorApp) -> None:
    """Plug Redis in before the simulator ends."""
    app.ctx.plug.restore()


def _none() -> HTTPResponse:
    return json({"error": NO_PLUG}, status=404)
