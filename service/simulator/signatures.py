"""What WeChat signs with a session_key: always its text, never the bytes it stands for."""

from __future__ import annotations

import hashlib
import hmac


def raw_data_signature(raw_data: str, *, session_key: str) -> str:
    """Return the ``signature`` that comes with ``rawData``."""
    text = (raw_data + session_key).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def login_state_signature(message: str, *, session_key: str) -> str:
    """Return what proves that a server holds the key; over nothing for the key checks."""
    return hmac.new(session_key.encode(), message.encode(), hashlib.sha256).hexdigest()
