"""The rules of /cgi-bin/stable_token, in the order in which they are checked.

What is not told publicly, and is our reading: a forced refresh that comes within 30
seconds of the last, or after 20 on a day, is an ordinary call; a forced refresh ends
a token that still overlaps, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from service.simulator.endpoints.credentials import check_secret
from service.simulator.errcodes import Refusal, refusal

if TYPE_CHECKING:
    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.access_tokens import AccessToken
    from service.simulator.state.world import World

PATH = "/cgi-bin/stable_token"


def fetch_stable(
    world: World, *, method: str, raw: bytes, ip: str, faults: CallFaults
) -> AccessToken | Refusal:
    """Give the app's stable token. Parameters count in a JSON body only."""
    if method != "POST":
        return refusal(43002)
    try:
        params = orjson.loads(raw)
    except orjson.JSONDecodeError:
        params = None
    if not isinstance(params, dict):
        return refusal(41002)
    app = check_secret(world, params, ip=ip, faults=faults)
    if isinstance(app, Refusal):
        return app
    if (forced := faults.errcode()) is not None:
        return forced.refusal
    force = params.get("force_refresh") is True
    return world.tokens.stable(app.appid, force=force, now=world.clock())
