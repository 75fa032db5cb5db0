"""Which app calls, and whether it may: by AppSecret for a token, by token for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.errcodes import Refusal, foreign_ip, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.world import App, World


def check_secret(
    world: World, params: Mapping[str, Any], *, ip: str, faults: CallFaults
) -> App | Refusal:
    """Check what both token endpoints are sent: the appid first, the grant_type before secrets."""
    appid, secret = params.get("appid"), params.get("secret")
    app = world.apps.get(appid) if isinstance(appid, str) else None
    found: App | Refusal
    if not appid:
        found = refusal(41002)
    elif app is None:
        found = refusal(40013)
    elif params.get("grant_type") != "client_credential":
        found = refusal(40002)
    elif not secret:
        found = refusal(41004)
    elif secret != app.secret:
        found = _wrong_secret(faults.wrong_secret())
    elif not faults.admits(ip):
        found = foreign_ip(ip)
    else:
        found = app
    return found


def check_token(world: World, query: Mapping[str, str], *, faults: CallFaults) -> App | Refusal:
    """Check the access_token of a call before anything else of it is looked at."""
    text = query.get("access_token")
    if not text:
        return refusal(41001)
    now = world.clock()
    token = world.tokens.find(text, now=now)
    if isinstance(token, int):
        return refusal(token)
    if faults.supersedes(token.appid):
        world.tokens.take_over(token, now=now)
        return refusal(token.ending)
    if not faults.entitles(token.appid):
        return refusal(48001)
    return world.apps[token.appid]


def _wrong_secret(errcode: int) -> Refusal:
    # The text of 40001 elsewhere is about tokens.
    return Refusal(40001, "invalid credential") if errcode == 40001 else refusal(errcode)  # noqa: PLR2004
