"""Ports of loopback for servers that cannot be told to take any."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

_PORTS: Final = range(20_000, 32_768)
"""Below those that the kernel gives to whoever connects or does not mind, in the meantime too."""
_SHARES: Final = 16
"""Of them, for the processes that look for ports at the same time; a divisor of _BUS."""
_given: Final[set[int]] = set()
"""Whoever was given one may not listen on it yet."""
_BUS: Final = 10_000
"""A node of a cluster listens on its port and, for the others, this much above it."""


def free_port() -> int:
    """One that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int, *, bus: bool = False) -> list[int]:
    """So many different ones, not given before in this process; with `bus`, for nodes."""
    chosen = random.SystemRandom()  # `random` itself says the same in every worker of a run
    found: list[int] = []
    while len(found) < count:
        port = chosen.choice(_not_given(bus=bus))
        _given.add(port)
        wanted = [port - _BUS, port] if bus else [port]
        if all(map(_is_free, wanted)):
            found.append(wanted[0])
    return found


def _not_given(*, bus: bool) -> list[int]:
    """Of this process's share; from the beginning, once all have been given."""
    # Nodes' own ports stay below everybody else's, so that no bus is another one's port.
    own = (_PORTS[:_BUS] if bus else _PORTS)[os.getpid() % _SHARES :: _SHARES]
    left = [port for port in own if port not in _given]
    if left:
        return left
    _given.clear()
    return list(own)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
