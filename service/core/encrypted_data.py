"""What WeChat encrypts and signs with a session_key: opening and checking it.

The scheme is WeChat's own (open-ability/signature in its documentation):
AES-128-CBC with PKCS#7 padding over compact JSON that carries a watermark of
appid and time; SHA-1 or HMAC-SHA-256 over the key's *base64 text* for signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

if TYPE_CHECKING:
    from service.core.models import SessionKeys

_BLOCK: Final = 16
_CLOCK_SKEW_SECONDS: Final = 300


class DecryptionError(Exception):
    """Encrypted data that cannot be used; `reason` is for the log, not for the client.

    `stale_key`: whether a fresh login, and so a fresh session_key, may help.
    """

    def __init__(self, reason: str, *, stale_key: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stale_key = stale_key


def open_encrypted(
    encrypted_data: str, iv: str, *, keys: SessionKeys, appid: str, now: float, max_age: int
) -> dict[str, Any]:
    """Decrypt `encryptedData` with the current key, else the previous one.

    `now` in Unix seconds; `max_age` in seconds since WeChat encrypted it.
    Returns the JSON object, watermark included. Raises DecryptionError.
    """
    data, vector = _base64(encrypted_data), _base64(iv)
    if len(vector) != _BLOCK or not data or len(data) % _BLOCK:
        raise DecryptionError("bad_length", stale_key=False)
    payload = _decrypt(data, vector, keys.current)
    if payload is None and keys.previous is not None:
        payload = _decrypt(data, vector, keys.previous)
    if payload is None:
        raise DecryptionError("wrong_key", stale_key=True)
    _check_watermark(payload.get("watermark"), appid, now, max_age)
    return payload


def signs(raw_data: str, signature: str, *, keys: SessionKeys) -> bool:
    """Whether `signature` is WeChat's for `rawData`, under the current or the previous key."""
    expected = [_sha1(raw_data, key) for key in (keys.current, keys.previous) if key]
    given = signature.lower()
    return given.isascii() and any(hmac.compare_digest(one, given) for one in expected)


def login_state_signature(session_key: bytes, message: str = "") -> str:
    """WeChat's signature over a message, as /wxa/checksession wants it for the empty one."""
    return hmac.new(base64.b64encode(session_key), message.encode(), hashlib.sha256).hexdigest()


def _sha1(raw_data: str, key: bytes) -> str:
    text = raw_data.encode(errors="surrogatepass") + base64.b64encode(key)
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _base64(text: str) -> bytes:
    # A plus sign that travelled in a form or a query arrives as a space.
    try:
        return base64.b64decode(text.replace(" ", "+"), validate=True)
    except (binascii.Error, ValueError):
        raise DecryptionError("bad_base64", stale_key=False) from None


def _decrypt(data: bytes, vector: bytes, key: bytes) -> dict[str, Any] | None:
    decryptor = Cipher(AES128(key), CBC(vector)).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    try:
        # A wrong key gets past the padding once in 250 times, and past the JSON hardly ever.
        payload = orjson.loads(unpadder.update(padded) + unpadder.finalize())
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _check_watermark(watermark: object, appid: str, now: float, max_age: int) -> None:
    if not isinstance(watermark, dict) or watermark.get("appid") != appid:
        raise DecryptionError("appid_mismatch", stale_key=False)
    timestamp = watermark.get("timestamp")
    if not isinstance(timestamp, int) or not -_CLOCK_SKEW_SECONDS <= now - timestamp <= max_age:
        raise DecryptionError("too_old", stale_key=False)
