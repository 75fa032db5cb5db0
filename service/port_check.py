"""Saying that a port is taken, before a server fails over it."""

from __future__ import annotations

import socket


class PortTaken(OSError):
    """Nothing can listen there; the text says what to do."""

    @classmethod
    def by(cls, fault: OSError, *, host: str, port: int, variable: str) -> PortTaken:
        """What there is to say of a `fault` of binding; `variable` sets the port."""
        return cls(
            f"cannot listen on {host}:{port} ({fault.strerror}):"
            f" stop what listens there, or set {variable}"
        )


def refuse_taken_port(host: str, port: int, *, variable: str) -> None:
    """Raise PortTaken if nothing can listen on `host` and `port`, which `variable` sets."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise PortTaken.by(fault, host=host, port=port, variable=variable) from fault
