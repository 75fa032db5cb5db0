"""Ids that are unique but no secrets, and digests that stand for what must not be told."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from typing import Final

from service.core import base64url

_WORKER: Final = secrets.token_hex(4)
_NUMBERS: Final = itertools.count(secrets.randbits(24))
_DIGEST_LENGTH: Final = 22


def unique_id() -> str:
    """16 hexadecimal digits: this worker's 8, and a count. 10 times as fast as random bytes.

    The next one can be guessed.
    """
    return f"{_WORKER}{next(_NUMBERS):08x}"


def digest(*parts: str | bytes) -> str:
    """22 base64url characters that stand for `parts` and do not tell them: 132 bits of SHA-256."""
    hashed = hashlib.sha256(b"\0".join(p.encode() if isinstance(p, str) else p for p in parts))
    return base64url.encode(hashed.digest())[:_DIGEST_LENGTH]
