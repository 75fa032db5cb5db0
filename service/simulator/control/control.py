"""The front page, the fault switches and the counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sanic.response import json, text

from service.simulator.control.bodies import BadBodyError, json_object
from service.simulator.control.index import front_page
from service.simulator.endpoints import ENDPOINTS
from service.simulator.faults.catalogue import KINDS, describe, param_rules
from service.simulator.faults.fault import COMMON_PARAMS

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.faults.fault import Fault

_FAULT_EXAMPLE = '{"kind": "errcode", "errcode": -1, "times": 2}'


async def index(request: SimulatorRequest) -> HTTPResponse:
    """Say what there is here."""
    return text(front_page(request.app.ctx.world.apps.values(), host=request.host))


async def add_fault(request: SimulatorRequest) -> HTTPResponse:
    """Switch a fault on."""
    body = json_object(request, example=_FAULT_EXAMPLE)
    return json(request.app.ctx.faults.add(_read_fault(body)).view())


async def list_faults(request: SimulatorRequest) -> HTTPResponse:
    """Return what is switched on, and what could be."""
    active = [active.view() for active in request.app.ctx.faults]
    return json({"active": active, "endpoints": list(ENDPOINTS), **describe()})


async def clear_faults(request: SimulatorRequest) -> HTTPResponse:
    """Switch everything off."""
    return json({"cleared": request.app.ctx.faults.clear()})


async def show_stats(request: SimulatorRequest) -> HTTPResponse:
    """Return the counters."""
    return json(request.app.ctx.stats.view())


async def reset_stats(request: SimulatorRequest) -> HTTPResponse:
    """Set the counters to nought and return them."""
    request.app.ctx.stats.reset()
    return json(request.app.ctx.stats.view())


def _read_fault(body: dict[str, Any]) -> Fault:
    """Return the fault a body describes."""
    kind = body.pop("kind", None)
    fault_type = KINDS.get(kind) if isinstance(kind, str) else None
    if fault_type is None:
        kinds = list(KINDS)
        raise BadBodyError(
            f"kind: send one of {', '.join(kinds)}; GET /sim/faults explains them",
            field="kind",
            allowed=kinds,
        )
    if body.get("endpoint", "*") not in (aims := ["*", *ENDPOINTS]):
        raise BadBodyError(
            f"endpoint: send one of {', '.join(aims)}", field="endpoint", allowed=aims
        )
    try:
        return fault_type.model_validate(body)
    except ValidationError as error:
        raise _explain(fault_type, error) from error


def _explain(fault_type: type[Fault], error: ValidationError) -> BadBodyError:
    """Name the first parameter at fault and what it may be."""
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else None
    if first["type"] == "extra_forbidden":
        params = sorted(fault_type.model_fields)
        own = [name for name in params if name not in COMMON_PARAMS]
        return BadBodyError(
            f"{field}: no parameter of {fault_type.kind}; it takes {', '.join(own) or 'none'} "
            f"besides {', '.join(sorted(COMMON_PARAMS))}",
            field=field,
            allowed=params,
        )
    message = first["msg"].removeprefix("Value error, ")
    if field is None:
        return BadBodyError(f"{fault_type.kind}: {message}")
    return BadBodyError(f"{field}: {message}", field=field, allowed=param_rules(fault_type, field))
