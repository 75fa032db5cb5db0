"""A request for `/verify` that has come whole, with nothing unusual in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from service.core.errors import SessionMalformed, SessionMissing
from service.http.request import is_well_formed
from service.http.routes.verify import ADDRESS, METHODS
from service.http.session_id import session_id_in

if TYPE_CHECKING:
    from service.core.models import SessionId

_END: Final = b"\r\n\r\n"
_MOST_BYTES: Final = 8192
"""Of a head; Sanic takes as many."""
_REQUEST_LINE: Final = re.compile(
    f"({'|'.join(METHODS)}) {ADDRESS}(?:[/?][^ ]*)? HTTP/1\\.([01])\r\n".encode()
)
_NOTED: Final = re.compile(
    r"\r\n(host|connection|content-length|transfer-encoding|expect"
    r"|sessionid|x-session-id|authorization|x-wx-skey|x-request-id):[ \t]*+([^\r]*+)",
    re.IGNORECASE | re.ASCII,
)
"""The headers that mean something here."""


_NOTHING: Final = re.compile("0+")


@dataclass(slots=True)  # not frozen: one is made per request
class Check:
    """What there is to know of it."""

    data: bytes = field(repr=False)
    """All of it, with the secret."""
    session_id: SessionId
    method: str
    request_id: str
    """As its client calls it, usable or not."""
    keep_alive: bool
    """Whether its client wants to ask more on this connection."""


class _Headers(dict[str, list[str]]):
    getall = dict.get


def read_check(data: bytes, *, with_skey: bool) -> Check | None:
    """Read what has come at once; None for all that the ordinary way is to look at.

    That is also whatever it would refuse. `with_skey` as in `session_id_in`.
    """
    line = _REQUEST_LINE.match(data)
    if line is None or not data.endswith(_END) or len(data) > _MOST_BYTES:
        return None
    head = data[: -len(_END)]  # well-formed, it has no other end within
    method, minor = line.groups()
    headers = _noted(head)
    version = "1.1" if minor == b"1" else "1.0"
    if headers is None or not _is_bodiless(headers) or not is_well_formed(head, headers, version):
        return None
    try:
        session_id = session_id_in(headers, with_skey=with_skey)
    except (SessionMissing, SessionMalformed):
        return None
    wishes = headers.get("connection")
    given = headers.get("x-request-id")
    return Check(
        data,
        session_id,
        method.decode(),
        given[0] if given else "",
        wishes[-1].lower() == "keep-alive" if wishes else version == "1.1",
    )


def _noted(head: bytes) -> _Headers | None:
    """The headers that mean something; None where one of them is not ASCII."""
    lines = _NOTED.findall(head.decode("latin-1"))
    if not head.isascii() and not all(value.isascii() for _, value in lines):
        return None
    found = _Headers()
    for name, value in lines:
        found.setdefault(name.lower(), []).append(value)
    return found


def _is_bodiless(headers: _Headers) -> bool:
    if "transfer-encoding" in headers:
        return False
    lengths = headers.get("content-length")
    # Beside a length, an expectation is one of whoever means to send a body.
    return lengths is None or (
        len(lengths) == 1 and _NOTHING.fullmatch(lengths[0]) is not None and "expect" not in headers
    )
