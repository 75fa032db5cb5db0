"""Every kind of fault, by name."""

from __future__ import annotations

from functools import cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from service.simulator.faults import arrivals, decisions, replies
from service.simulator.faults.fault import COMMON_PARAMS, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Mapping[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        arrivals.Latency,
        arrivals.Hang,
        arrivals.Reset,
        arrivals.ApiDown,
        arrivals.Status,
        arrivals.Html502,
        arrivals.Html200,
        arrivals.Redirect,
        arrivals.HugeBody,
        arrivals.GzipBomb,
        decisions.Errcode,
        decisions.BlockedUser,
        decisions.IpWhitelist,
        decisions.WrongSecret,
        decisions.TokenSuperseded,
        decisions.NotEntitled,
        decisions.ClockSkew,
        replies.DropAfterConsume,
        replies.ResetAfterHeaders,
        replies.EmptyBody,
        replies.TruncatedJson,
        replies.MissingField,
        replies.WrongType,
        replies.CountryCodeNumber,
        replies.ContentType,
    )
}


@cache
def _properties(fault: type[Fault]) -> dict[str, Any]:
    properties: dict[str, Any] = fault.model_json_schema()["properties"]
    return properties


def param_rules(fault: type[Fault], name: str) -> dict[str, Any]:
    """Return what a parameter may be, as JSON Schema says it."""
    rules = _properties(fault).get(name, {})
    return {key: value for key, value in rules.items() if key != "title"}


def describe() -> dict[str, Any]:
    """Return the catalogue as it leaves for the client."""
    return {
        "common": {name: param_rules(Fault, name) for name in Fault.model_fields},
        "kinds": [_describe_kind(fault) for fault in KINDS.values()],
    }


def _describe_kind(fault: type[Fault]) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "description": cleandoc(fault.__doc__ or "").splitlines()[0],
        "params": {
            name: {"required": info.is_required(), **param_rules(fault, name)}
            for name, info in fault.model_fields.items()
            if name not in COMMON_PARAMS or info.is_required()
        },
    }
