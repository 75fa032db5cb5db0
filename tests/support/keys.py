"""Where the service keeps what in Redis, by default: for tests that look behind it."""

from __future__ import annotations

import hashlib
from typing import Final

from service.core.ids import digest

SESSION_PREFIX: Final = "minigate:session:"
LIMIT_PREFIX: Final = "minigate:limit:"
NUMBER_PREFIX: Final = "minigate:number:"
ACCESS_TOKEN_PREFIX: Final = "minigate:access-token:"
ACCESS_TOKEN_LOCK_PREFIX: Final = "minigate:access-token-lock:"
ENDED_KEY: Final = "minigate:ended"


def code_key(kind: str, appid: str, code: str) -> str:
    """The marker of a code; `kind` is login or phone."""
    return f"minigate:code:{digest(kind, appid, code)}"


def deleted_user_key(user_id: str) -> str:
    return "minigate:gone:" + hashlib.sha256(user_id.encode()).hexdigest()[:32]
