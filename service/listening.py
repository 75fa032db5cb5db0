"""Saying that a port is taken before a server fails over it with a traceback."""

from __future__ import annotations

import socket


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
