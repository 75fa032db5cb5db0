"""The rules of /sns/jscode2session, in the order in which they are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.simulator.errcodes import Refusal, foreign_ip, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.codes import LoginCode
    from service.simulator.state.world import App, Grant, World

PATH = "/sns/jscode2session"


def exchange(
    world: World, *, method: str, query: Mapping[str, str], ip: str, faults: CallFaults
) -> Grant | Refusal:
    """Exchange a login code. Parameters count in the query string only."""
    checked = _check_caller(world, method=method, query=query, ip=ip, faults=faults)
    if isinstance(checked, Refusal):
        return checked
    text = query.get("js_code")
    if not text:
        return refusal(41008)
    code = world.find_code(text, appid=checked.appid)
    if code is None:
        return refusal(40029)
    return _redeem(world, code, faults)


def _check_caller(
    world: World, *, method: str, query: Mapping[str, str], ip: str, faults: CallFaults
) -> App | Refusal:
    """Find out which app calls, and whether it may."""
    app = world.apps.get(query.get("appid", ""))
    secret = query.get("secret")
    found: App | Refusal
    if method != "GET" or not query.get("appid"):
        found = refusal(41002)
    elif app is None:
        found = refusal(40013)
    elif not secret:
        found = refusal(41004)
    elif query.get("grant_type") != "authorization_code":
        found = refusal(40002)
    elif secret != app.secret:
        found = refusal(40125)
    elif not faults.admits(ip):
        found = foreign_ip(ip)
    else:
        found = app
    return found


def _redeem(world: World, code: LoginCode, faults: CallFaults) -> Grant | Refusal:
    """Give what the code stands for. Only success, or a fault that says so, uses it up."""
    if code.used:
        return refusal(40163)
    if faults.blocks(code.user):
        return refusal(40226)
    if not world.take_quota(code.user):
        return refusal(45011)
    if (forced := faults.errcode()) is not None:
        if forced.uses_code:
            world.redeem(code)
        return forced.refusal
    return world.redeem(code) or refusal(40163)
