"""What WeChat calls a user: one openid per app, one unionid per open-platform account."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b

_OPENID = re.compile(r"o[-_0-9A-Za-z]{27}")


def openid_of(*, appid: str, user: str) -> str:
    """Return 28 characters beginning with ``o``, the same after every restart."""
    return _identity("openid", appid, user)


def unionid_of(*, platform: str, user: str) -> str:
    """Return 28 characters beginning with ``o``, the same for every app of the account."""
    return _identity("unionid", platform, user)


def is_openid(value: object) -> bool:
    """Whether a value has the form of an openid."""
    return isinstance(value, str) and _OPENID.fullmatch(value) is not None


def _identity(purpose: str, scope: str, user: str) -> str:
    # Lengths keep ("ab", "c") apart from ("a", "bc").
    text = f"{purpose}:{len(scope)}:{scope}:{user}".encode()
    return "o" + urlsafe_b64encode(blake2b(text, digest_size=21).digest()).decode()[:27]
