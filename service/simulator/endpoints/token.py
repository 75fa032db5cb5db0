"""The rules of /cgi-bin/token, in the order in which they are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.simulator.endpoints.credentials import check_secret
from service.simulator.errcodes import Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.access_tokens import AccessToken
    from service.simulator.state.world import World

PATH = "/cgi-bin/token"


def fetch(
    world: World, *, method: str, query: Mapping[str, str], ip: str, faults: CallFaults
) -> AccessToken | Refusal:
    """Give a new token, which supersedes the one before."""
    if method != "GET":
        return refusal(43001)
    app = check_secret(world, query, ip=ip, faults=faults)
    if isinstance(app, Refusal):
        return app
    if not world.take_token_quota(app.appid):
        return refusal(45009)
    if (forced := faults.errcode()) is not None:
        return forced.refusal
    return world.tokens.fetch(app.appid, now=world.clock())
