"""Misbehaviour on demand: each kind of fault is one class, its parameters are its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.simulator.faults import arrivals, decisions, replies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.fault import Fault

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
        decisions.OpenidRefused,
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
"""Every kind by its name on the wire."""
