"""The /sim/faults route: what is switched on, and every kind that could be."""

from __future__ import annotations

from functools import cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sanic.response import json

from service.simulator.control.bodies import BadBodyError, json_object
from service.simulator.endpoints import ENDPOINTS
from service.simulator.faults import KINDS
from service.simulator.faults.fault import COMMON_PARAMS, Fault

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

_EXAMPLE = '{"kind": "errcode", "errcode": -1, "times": 2}'


async def add_fault(request: SimulatorRequest) -> HTTPResponse:
    """Switch a fault on."""
    fault = _read_fault(json_object(request, example=_EXAMPLE))
    return json(request.app.ctx.faults.add(fault).view())


async def list_faults(request: SimulatorRequest) -> HTTPResponse:
    """Return what is switched on, and what could be."""
    return json(
        {
            "active": [active.view() for active in request.app.ctx.faults],
            "endpoints": list(ENDPOINTS),
            "common": {name: _param_rules(Fault, name) for name in Fault.model_fields},
            "kinds": [_describe(kind) for kind in KINDS.values()],
        }
    )


async def clear_faults(request: SimulatorRequest) -> HTTPResponse:
    """Switch everything off."""
    return json({"cleared": request.app.ctx.faults.clear()})


def _describe(kind: type[Fault]) -> dict[str, Any]:
    """Return what GET /sim/faults tells of a kind."""
    return {
        "kind": kind.kind,
        "description": cleandoc(kind.__doc__ or "").splitlines()[0],
        "params": {
            name: {"required": info.is_required(), **_param_rules(kind, name)}
            for name, info in kind.model_fields.items()
            if name not in COMMON_PARAMS or info.is_required()
        },
    }


def _read_fault(body: dict[str, Any]) -> Fault:
    """Return the fault a body describes; BadBodyError says what to send instead."""
    name = body.pop("kind", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadBodyError(
            f"kind: send one of {', '.join(KINDS)}; GET /sim/faults explains them",
            field="kind",
            allowed=list(KINDS),
        )
    if body.get("endpoint", "*") not in (aims := ["*", *ENDPOINTS]):
        raise BadBodyError(
            f"endpoint: send one of {', '.join(aims)}", field="endpoint", allowed=aims
        )
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _explain(kind, error) from error


def _explain(kind: type[Fault], error: ValidationError) -> BadBodyError:
    """Name the first parameter at fault and what it may be."""
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else None
    if first["type"] == "extra_forbidden":
        params = sorted(kind.model_fields)
        own = [name for name in params if name not in COMMON_PARAMS]
        return BadBodyError(
            f"{field}: no parameter of {kind.kind}; it takes {', '.join(own) or 'none'} "
            f"besides {', '.join(sorted(COMMON_PARAMS))}",
            field=field,
            allowed=params,
        )
    message = first["msg"].removeprefix("Value error, ")
    if field is None:
        return BadBodyError(f"{kind.kind}: {message}")
    return BadBodyError(f"{field}: {message}", field=field, allowed=_param_rules(kind, field))


def _param_rules(kind: type[Fault], name: str) -> dict[str, Any]:
    """Return what a parameter may be, as JSON Schema says it; empty for an unknown one."""
    rules = _properties(kind).get(name, {})
    return {key: value for key, value in rules.items() if key != "title"}


@cache
def _properties(kind: type[Fault]) -> dict[str, Any]:
    properties: dict[str, Any] = kind.model_json_schema()["properties"]
    return properties
