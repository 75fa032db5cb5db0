"""Why a driver failed, in words that an operator can look up.

The text of a driver's error may hold an address with a password, or a path with a
code. What is told here comes from OpenSSL's, the kernel's and SQLite's own lists.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Those of obstore, which is written in Rust, have no other sign of it than their text.
_OS_ERROR: Final = re.compile(r"(?:\(os error |\bOs \{\s*code: )(\d{1,4})\b")
_PEER: Final = re.compile(r"\bInvalidCertificate\(\s*(\w+)")
_FURTHEST: Final = 10


def name_fault(fault: BaseException, *, on_tls: str = "") -> str:
    """The kind of `fault`, and in brackets what was behind it, as far as that is known.

    `on_tls`: what to do about a certificate that does not pass.
    """
    kind = type(fault).__name__
    for error in _chain(fault):
        cause = _certificate(error)
        if cause:
            return f"{kind} ({cause}{f': {on_tls}' if on_tls else ''})"
        cause = _cause(error).removesuffix(f": {kind}")
        if cause:
            return f"{kind} ({cause})"
    return kind


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """The fault, and those that it was raised for; SQLAlchemy keeps the first one as `orig`."""
    error: BaseException | None = fault
    for _ in range(_FURTHEST):
        if error is None:
            return
        yield error
        original = getattr(error, "orig", None)
        error = original if isinstance(original, BaseException) else _before(error)


def _before(error: BaseException) -> BaseException | None:
    return error.__cause__ or error.__context__


def _certificate(error: BaseException) -> str:
    said = getattr(error, "verify_message", None)  # aiohttp's own kinds of these have none
    peer = _PEER.search(_text(error))
    if isinstance(error, ssl.SSLCertVerificationError) and said:
        return f"certificate verify failed: {said.rstrip('.')}"
    return f"certificate verify failed: {peer[1]}" if peer else ""


def _cause(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None)
        return f"TLS: {reason}" if reason else ""
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if "rejected SSL upgrade" in _text(error):  # asyncpg's, of a PostgreSQL
        return "the server speaks no TLS"
    if name := getattr(error, "sqlite_errorname", None):
        return str(name)
    if state := getattr(error, "sqlstate", None):
        # The driver's own class, which SQLAlchemy's was raised for, is named like the state.
        condition = _before(error) if type(error).__name__ == "Error" else error
        return f"SQLSTATE {state}: {type(condition or error).__name__}"
    return _of_the_kernel(error)


def _of_the_kernel(error: BaseException) -> str:
    rust = _OS_ERROR.search(_text(error))
    number = int(rust[1]) if rust else (isinstance(error, OSError) and error.errno) or 0
    name = errno.errorcode.get(number)
    return f"{name}: {os.strerror(number)}" if name else ""


def _text(error: BaseException) -> str:
    return str(error.args[0]) if error.args else ""
