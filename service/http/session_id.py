"""Where a request carries its session id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.core.errors import SessionMalformed, SessionMissing
from service.core.models import SessionId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.http.request import AppRequest

_PADDING: Final = " \t"
"""All that HTTP lets stand around a value (RFC 9110, 5.6.3)."""
_NOT_ASCII: Final = re.compile(
    rb"\r\n(?i:sessionid|x-session-id|authorization|x-wx-skey):[^\r]*[\x80-\xff]"
)


def session_id_of(request: AppRequest) -> SessionId:
    """The id in `sessionid`, `X-Session-Id` or `Authorization: Bearer`, or in several of them.

    Whoever stands in front may read another one than we do: ids that differ are
    none, nor is a header that comes twice. With WAFER_COMPAT the one in `X-WX-Skey`
    will do alone; beside another one it has to agree in any case. Beside an id, a
    Bearer or an skey that is none by its form is meant for somebody else. Raises
    SessionMissing, or SessionMalformed for anything that cannot be an id of ours.
    """
    headers = request.headers
    # Of any script, white space before a value is gone by now: Sanic takes it away.
    if not request.head.isascii() and _NOT_ASCII.search(request.head):
        raise SessionMalformed
    given = headers.getall("sessionid", None)
    if (
        given is None
        or "x-session-id" in headers
        or "authorization" in headers
        or "x-wx-skey" in headers
    ):
        given = list(_given(request))
    session_id = SessionId.parse(given[0].strip(_PADDING)) if len(given) == 1 else None
    if session_id is None:
        raise SessionMalformed
    return session_id


def _given(request: AppRequest) -> set[str]:
    """All that is given for an id; raises SessionMissing."""
    given = set(_values(request, "sessionid", "x-session-id"))
    given = _with(given, _bearers(request))
    if given or request.app.ctx.settings.wafer_compat:
        given = _with(given, _values(request, "x-wx-skey"))
    if not given:
        raise SessionMissing
    return given


def _with(given: set[str], others: Iterator[str]) -> set[str]:
    """`given`, if anything is, with those of `others` that have an id's form; else all of them."""
    return given.union(one for one in others if not given or SessionId.parse(one))


def _bearers(request: AppRequest) -> Iterator[str]:
    for credentials in _values(request, "authorization"):
        scheme, _, credential = credentials.partition(" ")
        if scheme.lower() == "bearer":
            yield credential.strip(_PADDING)


def _values(request: AppRequest, *names: str) -> Iterator[str]:
    for name in names:
        values = request.headers.getall(name, ())
        if len(values) > 1:
            raise SessionMalformed
        if values:
            yield values[0].strip(_PADDING)
