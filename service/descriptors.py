"""How many files and sockets this process may have open, and how many of them may be clients'."""

from __future__ import annotations

import contextlib
import sys
from typing import Final

OURS: Final = 64
"""Kept for files, pipes, listening, and what the event loop and the log need."""
MOST_CLIENTS: Final = 10_000
"""At some 10 kB each; a client that only waits is cut before it is missed."""
_UNKNOWN: Final = 1024


def room_for_clients(*, pools: int) -> int:
    """Raise this process's limit of descriptors, and say how many connections it leaves room for.

    `pools`: the connections that it opens itself. At least a quarter of the
    limit is for clients: pools are seldom full.
    """
    limit = _raise_limit()
    return min(max(limit - OURS - pools, limit // 4), MOST_CLIENTS)


def _raise_limit() -> int:
    if sys.platform == "win32":
        return _UNKNOWN
    import resource  # noqa: PLC0415 # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit beside this one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return MOST_CLIENTS * 2 if soft == resource.RLIM_INFINITY else soft
