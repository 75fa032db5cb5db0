"""Ending a connection in ways a well-behaved server never would."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from sanic import Request
from sanic.exceptions import RequestCancelled

if TYPE_CHECKING:
    from asyncio import WriteTransport

AnyRequest: TypeAlias = Request[Any, Any]
"""Faults need to know nothing of the app that serves the request."""

_LINGER_ZERO = struct.pack("ii", 1, 0)
_FLUSH_SECONDS = 0.03


def _transport(request: AnyRequest) -> WriteTransport:
    transport: WriteTransport | None = request.transport  # type: ignore[assignment]
    if transport is None:
        raise RequestCancelled
    return transport


async def close(request: AnyRequest) -> NoReturn:
    """Close without a further byte."""
    _transport(request).abort()
    await _be_cancelled()


async def reset(request: AnyRequest) -> NoReturn:
    """Send a TCP reset."""
    transport = _transport(request)
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # The option belongs to the connection, not to the descriptor, so it can be set
        # through a copy: uvloop's own socket object does not let us.
        with socket.socket(fileno=os.dup(sock.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
    await _be_cancelled()


async def send_raw(request: AnyRequest, data: bytes) -> None:
    """Write bytes past the framework and give them time to leave."""
    _transport(request).write(data)
    await asyncio.sleep(_FLUSH_SECONDS)


async def _be_cancelled() -> NoReturn:
    """Wait for the framework to notice; it cancels the handler of a lost connection."""
    await asyncio.sleep(1)
    raise RequestCancelled
