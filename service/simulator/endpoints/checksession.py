"""The rules of /wxa/checksession and /wxa/resetusersessionkey, in the order of their checks.

What is not told publicly, and is our reading: an openid of the right form that was
never seen has no key (a simulator started anew knows nobody); more than 5 resets of a
user in a minute are too many.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from service.simulator.crypto import login_state_signature
from service.simulator.endpoints.credentials import check_token
from service.simulator.errcodes import Refusal, refusal
from service.simulator.state.visits import Visit, is_openid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.faults.call_faults import CallFaults
    from service.simulator.state.world import World

PATH = "/wxa/checksession"
RESET_PATH = "/wxa/resetusersessionkey"


def check_session(
    world: World, *, method: str, query: Mapping[str, str], faults: CallFaults
) -> Refusal | None:
    """Return why the signature does not do, or None if it was made with the current key."""
    visit = _check_signature(world, method=method, query=query, faults=faults)
    if isinstance(visit, Refusal):
        return visit
    forced = faults.errcode()
    return None if forced is None else forced.refusal


def reset_session_key(
    world: World, *, method: str, query: Mapping[str, str], faults: CallFaults
) -> str | Refusal:
    """Return a new key, which voids the one the signature was made with."""
    visit = _check_signature(world, method=method, query=query, faults=faults)
    if isinstance(visit, Refusal):
        return visit
    if not world.take_reset_quota(appid=visit.appid, openid=query["openid"]):
        return refusal(45011)
    if (forced := faults.errcode()) is not None:
        return forced.refusal
    return world.session_keys.reset(appid=visit.appid, user=visit.user)


def _check_signature(
    world: World, *, method: str, query: Mapping[str, str], faults: CallFaults
) -> Visit | Refusal:
    if method != "GET":
        return refusal(43001)
    app = check_token(world, query, faults=faults)
    if isinstance(app, Refusal):
        return app
    openid = query.get("openid", "")
    visit = world.visits.last(openid)
    found: Visit | Refusal
    if not is_openid(openid) or (visit is not None and visit.appid != app.appid):
        found = refusal(40003)
    elif query.get("sig_method") != "hmac_sha256":
        found = refusal(87008)
    elif visit is None or (key := world.current_key(visit)) is None:
        found = refusal(87007)
    elif not _is_signed(query.get("signature", ""), key):
        found = refusal(87009)
    else:
        found = visit
    return found


def _is_signed(signature: str, session_key: str) -> bool:
    expected = login_state_signature("", session_key=session_key)
    return hmac.compare_digest(expected.encode(), signature.encode())
