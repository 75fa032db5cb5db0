"""Where a request carries its session id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.core.errors import SessionMalformed, SessionMissing
from service.core.models import SessionId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.http.request import AppRequest, Headers

_PADDING: Final = " \t"
"""All that HTTP lets stand around a value (RFC 9110, 5.6.3)."""
_NOT_ASCII: Final = re.compile(
    rb"\r\n(?i:sessionid|x-session-id|authorization|x-wx-skey):[^\r]*[\x80-\xff]"
)


def session_id_of(request: AppRequest) -> SessionId:
    """The id that a request carries; raises SessionMissing and SessionMalformed."""
    # Of any script, white space before a value is gone by now: Sanic takes it away.
    if not request.head.isascii() and _NOT_ASCII.search(request.head):
        raise SessionMalformed
    return session_id_in(request.headers, with_skey=request.app.ctx.settings.wafer_compat)


def session_id_in(headers: Headers, *, with_skey: bool) -> SessionId:
    """The id in `sessionid`, `X-Session-Id` or `Authorization: Bearer`, or in several of them.

    Whoever stands in front may read another one than we do: ids that differ are
    none, nor is a header that comes twice. `with_skey`, as of WAFER_COMPAT: the one in
    `X-WX-Skey` will do alone; beside another one it has to agree in any case. Beside an
    id, a Bearer or an skey that is none by its form is meant for somebody else. Raises
    SessionMissing, or SessionMalformed for anything that cannot be an id of ours.
    """
    given = headers.getall("sessionid", ())
    if (
        len(given) != 1
        or "x-session-id" in headers
        or "authorization" in headers
        or "x-wx-skey" in headers
    ):
        given = list(_given(headers, with_skey=with_skey))
    session_id = SessionId.parse(given[0].strip(_PADDING)) if len(given) == 1 else None
    if session_id is None:
        raise SessionMalformed
    return session_id


def _given(headers: Headers, *, with_skey: bool) -> set[str]:
    """All that is given for an id; raises SessionMissing, and SessionMalformed."""
    given = set(_values(headers, "sessionid", "x-session-id"))
    given = _with(given, _bearers(headers))
    if given or with_skey:
        given = _with(given, _values(headers, "x-wx-skey"))
    if not given:
        raise SessionMissing
    return given


def _with(given: set[str], others: Iterator[str]) -> set[str]:
    """`given`, if anything is, with those of `others` that have an id's form; else all of them."""
    return given.union(one for one in others if not given or SessionId.parse(one))


def _bearers(headers: Headers) -> Iterator[str]:
    for credentials in _values(headers, "authorization"):
        scheme, _, credential = credentials.partition(" ")
        if scheme.lower() == "bearer":
            yield credential.strip(_PADDING)


def _values(headers: Headers, *names: str) -> Iterator[str]:
    for name in names:
        values = headers.getall(name, ())
        if len(values) > 1:
            raise SessionMalformed
        if values:
            yield values[0].strip(_PADDING)
