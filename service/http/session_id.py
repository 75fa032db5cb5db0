"""Where a request carries its session id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import SessionMalformed, SessionMissing
from service.core.models import SessionId

if TYPE_CHECKING:
    from service.http.request import AppRequest


def session_id_of(request: AppRequest) -> SessionId:
    """The id in `sessionid`, `X-Session-Id` or `Authorization: Bearer`, the first that is there.

    With WAFER_COMPAT also in `X-WX-Skey`, after all of these. Raises
    SessionMissing, or SessionMalformed for anything that cannot be an id of
    ours, two of them included.
    """
    headers = request.headers
    given = headers.getall("sessionid", None) or headers.getall("x-session-id", None)
    if given is None:
        scheme, _, credential = headers.getone("authorization", "").partition(" ")
        given = [credential] if scheme.lower() == "bearer" else _skeys(request)
    session_id = SessionId.parse(given[0].strip()) if len(given) == 1 else None
    if session_id is None:
        raise SessionMalformed
    return session_id


def _skeys(request: AppRequest) -> list[str]:
    """Where clients of wafer2 put the id; raises SessionMissing."""
    served = request.app.ctx.settings.wafer_compat
    given: list[str] | None = request.headers.getall("x-wx-skey", None) if served else None
    if given is None:
        raise SessionMissing
    return given
