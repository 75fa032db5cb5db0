"""What is known of a request wherever work is done for it: its id, and whom it comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service.core.ids import unique_id
from service.http.client_address import client_address

if TYPE_CHECKING:
    from sanic.compat import Header

    from service.config.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Info:
    """What outlives a request, for whoever works for it; as RequestInfo in core says.

    Not the request itself: a connection that waits for its next one would keep the body.
    """

    __slots__ = ("_address", "_forwarded", "_peer", "_settings", "request_id")

    _address: str | None

    def __init__(self, settings: Settings, headers: Header, peer: str) -> None:
        self.request_id = usable_request_id(headers.getone("x-request-id", ""))
        self._settings = settings
        self._peer = peer
        self._forwarded = headers.getall("x-forwarded-for", ())

    @property
    def client_address(self) -> str | None:
        """As `client_address` tells it, when it is asked for: not of every request it is."""
        try:
            return self._address
        except AttributeError:
            self._address = client_address(self._settings, self._peer, self._forwarded)
            return self._address


def usable_request_id(given: str) -> str:
    """The caller's `X-Request-ID` if it is a plain word of up to 64 characters, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else unique_id()
