"""Listening on a port, and saying that it is taken before a server fails over it."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are accepted, as far as its `somaxconn` goes.

Sanic's own is 100: of a thousand that connect in one instant most would try
again a second later.
"""


class PortTaken(Exception):
    """Something else listens there; the text says what to do."""


def refuse_taken_port(host: str, port: int, *, variable: str) -> None:
    """Raise PortTaken if nothing can listen on `host` and `port`, which `variable` sets."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise PortTaken(
                f"cannot listen on {host}:{port} ({fault.strerror}):"
                f" stop what listens there, or set {variable}"
            ) from fault
