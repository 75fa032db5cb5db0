"""Sanic's request, refused where a proxy in front might read its head differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from sanic import Request
from sanic.exceptions import BadRequest

from service.core.request_info import current_request
from service.http.context import App, RequestContext
from service.http.info import Info

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanic.compat import Header

_HEAD: Final = re.compile(
    # Nothing but a path and a query: of an address that names a host, or has a fragment, Sanic
    # knows no path, or another one than a proxy would.
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++ /[\x21\x22\x24-\x7e]*+ HTTP/1\.[01]"
    rb"(?:\r\n"
    # Sanic takes white space and digits of any script for those of a length.
    rb"(?!(?i:content-length|transfer-encoding):(?! *+(?:[0-9]++|chunked)(?:\r\n|\Z)))"
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+){0,100}+"
)
"""The request line, and up to 100 headers: a token, a colon, a value (RFC 9110, 5.1 and 5.5)."""
_NO_URL: Final = b"*"


class Headers(Protocol):
    """Those of a request, or some of them, by their names in lower case."""

    def __contains__(self, name: object) -> bool: ...

    def getall(self, name: str, default: Sequence[str]) -> Sequence[str]:
        """Every value that it has."""
        ...


class AppRequest(Request[App, RequestContext]):
    """A request whose head has one meaning.

    Sanic takes `Content-Length : 30` for a header that it does not know, and the
    30 bytes for the next request on the connection. Where a proxy takes them for
    a body, it gives the answer to whoever asks next.
    """

    __slots__ = ("info",)

    info: Info

    def __init__(  # noqa: PLR0917 # Sanic's; passed on one by one, as it is on every request
        self,
        url_bytes: bytes,
        headers: Header,
        version: str,
        method: str,
        transport: Any,
        app: App,
        head: bytes = b"",
        stream_id: int = 0,
    ) -> None:
        """Raises BadRequest. To answer that, Sanic makes a request of its own, with no `head`."""
        if not head:
            url_bytes = _NO_URL  # the one that came may be what was wrong
        elif not is_well_formed(head, headers, version):
            raise BadRequest("Bad Request")
        super().__init__(url_bytes, headers, version, method, transport, app, head, stream_id)
        self.info = Info(app.ctx.settings, self.headers, self.ip)
        current_request.set(self.info)


def is_well_formed(head: bytes, headers: Headers, version: str) -> bool:
    """Whether it has one meaning, to whoever reads it.

    `headers`: what of it decides where a request ends, and `host`. `version`: 1.0 or 1.1.
    """
    if _HEAD.fullmatch(head) is None:
        return False
    hosts = len(headers.getall("host", ()))
    if version == "1.0":
        return hosts <= 1 and "transfer-encoding" not in headers  # RFC 9112, 6.1
    return hosts == 1  # RFC 9112, 3.2
