"""TLS to Redis: its connections share what redis-py makes for each of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext


class TlsConnection(SSLConnection):
    """One that shares its TLS context with all that trust and show the same.

    To read the authorities that a machine trusts takes 40 ms, in which nobody is
    answered, and 1 MB: a pool of 16 connections did that 16 times.
    """

    def __init__(self, **options: Any) -> None:
        """`options`: those of redis-py."""
        super().__init__(**options)
        own = {name: getattr(self.ssl_context, name) for name in RedisSSLContext.__slots__}
        del own["context"]
        files = (own["ca_certs"], own["certfile"], own["keyfile"])
        self.ssl_context = _shared(tuple(own.items()), tuple(map(_changed_at, files)))


@lru_cache(maxsize=8)
def _shared(options: tuple[tuple[str, Any], ...], _changed: tuple[int, ...]) -> RedisSSLContext:
    """A context for these options; another one once a file of theirs has changed."""
    return RedisSSLContext(**dict(options))


def _changed_at(file: str | None) -> int:
    try:
        return Path(file).stat().st_mtime_ns if file else 0
    except OSError:
        return 0  # it fails when it connects, and says so
