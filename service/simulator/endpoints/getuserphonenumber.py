"""The rules of /wxa/business/getuserphonenumber, in the order in which they are checked.

What is not told publicly, and is our reading: a code sent with the ``openid`` of
somebody else is invalid and stays good; so is a body without a code; a code is looked
for before its app is compared with the token's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.endpoints.credentials import check_token
from service.simulator.errcodes import Refusal, refusal
from service.simulator.state.identities import openid_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.codes import PhoneCode
    from service.simulator.state.world import App, World

PATH = "/wxa/business/getuserphonenumber"

HINTED = frozenset({40013, 40029, 47001})
"""Errcodes whose text ends with a hint before the request id."""


def tell_phone(
    world: World,
    *,
    method: str,
    query: Mapping[str, str],
    body: dict[str, Any] | Refusal,
    faults: CallFaults,
) -> PhoneCode | Refusal:
    """Exchange a phone code; ``body`` is what was posted, or why it cannot be read."""
    if method != "POST":
        return refusal(43002)
    app = check_token(world, query, faults=faults)
    if isinstance(app, Refusal):
        return app
    if isinstance(body, Refusal):
        return body
    code = _find(world, app, body)
    if isinstance(code, Refusal):
        return code
    if (forced := faults.errcode()) is not None:
        code.used = forced.uses_code
        return forced.refusal
    code.used = True
    return code


def _find(world: World, app: App, body: dict[str, Any]) -> PhoneCode | Refusal:
    """Return the code if it is good for the app and, where one is named, the user."""
    text, openid = body.get("code", ""), body.get("openid", "")
    if not isinstance(text, str) or not isinstance(openid, str):
        return refusal(47001)
    code = world.find_phone_code(text)
    if code is None:
        return refusal(40029)
    if code.appid != app.appid:
        return refusal(40013)
    if code.used or (openid and openid != openid_of(appid=code.appid, user=code.user)):
        return refusal(40029)
    return code
