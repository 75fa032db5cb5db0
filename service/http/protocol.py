"""The connections of clients, as the service has Sanic make them."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from service.http.reader import Reader
from service.http.short_way import ShortWayProtocol

if TYPE_CHECKING:
    from asyncio import BaseTransport

    from service.http.connections import Connections

_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A client that is gone without a word is noticed after 60 seconds."""


class AppProtocol(ShortWayProtocol):
    """One connection of a client; counted in `app.ctx.connections`."""

    HTTP_CLASS = Reader

    __slots__ = ()

    _room: Connections

    def connection_made(self, transport: BaseTransport) -> None:
        """Be ready for the first request."""
        self._time = time.monotonic()
        super().connection_made(transport)
        _watch_peer(transport)
        self._room.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop whatever is being done for it."""
        self._room.discard(self)
        super().connection_lost(exc)


def _watch_peer(transport: BaseTransport) -> None:
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
