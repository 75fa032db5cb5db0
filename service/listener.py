"""What clients connect to: kept by the main process, so that it outlives the workers."""

from __future__ import annotations

import socket
import sys
from typing import Final

from service.port_check import PortTaken

BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are accepted, as far as its `somaxconn` goes.

Sanic's own is 100: of a thousand that connect in one instant most would try
again a second later.
"""
SHARES: Final = sys.platform == "linux"
"""Whether the kernel shares connections out among several sockets on one port."""


def listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket that listens there; beside others of this user, if `shared`. Raises PortTaken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        raise PortTaken.by(fault, host=host, port=port, variable="PORT") from fault
    return listener
