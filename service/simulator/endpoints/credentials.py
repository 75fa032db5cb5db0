"""Which app calls, and whether it may: by AppSecret for a token, by token for the rest."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from service.simulator.crypto import login_state_signature
from service.simulator.errcodes import Refusal, not_in_whitelist, refusal
from service.simulator.state.identities import is_openid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.endpoints.call import Call
    from service.simulator.state.world import App, Visit


def check_secret(call: Call, params: Mapping[str, Any]) -> App | Refusal:
    """Return the app whose AppSecret was sent to a token endpoint.

    The appid is checked first, and the grant_type before the secret.
    """
    appid, secret = params.get("appid"), params.get("secret")
    app = call.world.apps.get(appid) if isinstance(appid, str) else None
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
        found = _wrong_secret(call.faults.wrong_secret())
    elif not call.faults.admits(call.ip):
        found = not_in_whitelist(call.ip)
    else:
        found = app
    return found


def check_token(call: Call) -> App | Refusal:
    """Return the app whose access_token a call brings; nothing else of the call is looked at."""
    text = call.query.get("access_token")
    if not text:
        return refusal(41001)
    now = call.world.clock()
    token = call.world.tokens.find(text, now=now)
    if isinstance(token, int):
        return refusal(token)
    if call.faults.supersedes(token.appid):
        call.world.tokens.void(token, now=now)
        return refusal(token.end_errcode)
    if not call.faults.entitles(token.appid):
        return refusal(48001)
    return call.world.apps[token.appid]


def check_signature(call: Call) -> Visit | Refusal:
    """Return the visit of the user whose session_key signed the call, the token being good.

    What is not told publicly, and is our reading: an openid of the right form that was
    never seen has no key (a simulator started anew knows nobody).
    """
    if call.method != "GET":
        return refusal(43001)
    app = check_token(call)
    if isinstance(app, Refusal):
        return app
    openid = call.query.get("openid", "")
    visit = call.world.visits.get(openid)
    found: Visit | Refusal
    if not is_openid(openid) or (visit is not None and visit.appid != app.appid):
        found = refusal(40003)
    elif call.query.get("sig_method") != "hmac_sha256":
        found = refusal(87008)
    elif visit is None or (key := call.world.current_key(visit)) is None:
        found = refusal(87007)
    elif not _is_signed(call.query.get("signature", ""), key):
        found = refusal(87009)
    else:
        found = visit
    return found


def _is_signed(signature: str, session_key: str) -> bool:
    expected = login_state_signature("", session_key=session_key)
    return hmac.compare_digest(expected.encode(), signature.encode())


def _wrong_secret(errcode: int) -> Refusal:
    # The text of 40001 elsewhere is about tokens.
    return Refusal(40001, "invalid credential") if errcode == 40001 else refusal(errcode)  # noqa: PLR2004
