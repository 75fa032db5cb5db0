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
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from service.core import payload as payloads
from service.core.models import SESSION_KEY_BYTES, SessionKeys

if TYPE_CHECKING:
    from service.core.models import Encrypted

CLOCK_SKEW_SECONDS: Final = 300
"""How far ahead of ours WeChat's clock may be."""
_BLOCK: Final = 16
_WRONG_KEY: Final = "wrong_key"
_LONGEST_PHONE: Final = 256
_NOBODYS: Final = secrets.token_bytes(SESSION_KEY_BYTES)
"""Tried where there is no key to try, so that this takes as long as if there were."""
_STAND_IN: Final = (
    b'{"phoneNumber":"13500000000","purePhoneNumber":"13500000000","countryCode":"86",'
    b'"watermark":{"timestamp":1700000000,"appid":"wx0123456789abcdef"}}'
)
_LONG_STAND_IN: Final = (
    b'{"openId":"oooooooooooooooooooooooooooo","nickName":"Name","gender":1,"language":"zh_CN",'
    b'"city":"City","province":"Province","country":"CN","avatarUrl":"' + b"x" * 128 + b'",'
    b'"unionId":"uuuuuuuuuuuuuuuuuuuuuuuuuuuu",'
    b'"watermark":{"timestamp":1700000000,"appid":"wx0123456789abcdef"}}'
)
"""These are looked through where there is nothing to look through."""


@dataclass(frozen=True, slots=True)
class _Expected:
    """Whose data it has to be, and of when, in Unix seconds."""

    appid: str
    openid: str
    oldest: float
    newest: float


class DecryptionError(Exception):
    """Encrypted data that cannot be used; `reason` is for the log, not for the client.

    `stale_key`: whether a fresh login, and so a fresh session_key, may help.
    `unreadable`: the key is right, and still this is none of the forms that are known.
    """

    def __init__(self, reason: str, *, stale_key: bool, unreadable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stale_key = stale_key
        self.unreadable = unreadable


def open_encrypted(
    encrypted: Encrypted,
    *,
    keys: SessionKeys | None,
    appid: str,
    openid: str,
    now: float,
    max_age: int,
) -> dict[str, Any]:
    """Decrypt with the current key, else with those before it; no keys open nothing.

    `now` in Unix seconds; `max_age` in seconds since WeChat encrypted it.
    Returns the JSON object, watermark included. Raises DecryptionError, which says
    `stale_key` of everything that does not end as WeChat's data does: neither it nor the
    time that it takes tells how near to that somebody came (docs/adr/0029).
    """
    data, vector = ciphertext_of(encrypted), _base64(encrypted.iv)
    if len(vector) != _BLOCK or not data or len(data) % _BLOCK:
        raise DecryptionError("bad_length", stale_key=False)
    expected = _Expected(appid, openid, now - max_age, now + CLOCK_SKEW_SECONDS)
    faults = []
    for key in (keys or SessionKeys(_NOBODYS)).all:
        found, fault = _open(data, vector, key or _NOBODYS, expected)
        if fault is None:
            return found
        faults.append(fault)
    raise next((fault for fault in faults if fault.reason != _WRONG_KEY), faults[0])


def ciphertext_of(encrypted: Encrypted) -> bytes:
    """The same bytes however their base64 is written; raises DecryptionError."""
    return _base64(encrypted.data)


def signs(raw_data: str, signature: str, *, keys: SessionKeys) -> bool:
    """Whether `signature` is WeChat's for `rawData`, under any of the keys."""
    expected = [_sha1(raw_data, key) for key in keys.all if key]
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


def _open(
    data: bytes, vector: bytes, key: bytes, expected: _Expected
) -> tuple[dict[str, Any], DecryptionError | None]:
    """The payload, and what is wrong with it.

    Whatever is, each step is taken: one text is parsed that is JSON and one that is
    not, one payload is looked through, and so is the end.
    """
    plain, padded = _decrypt(data, vector, key)
    found, complete = _parse(plain)
    is_object = isinstance(found, dict)
    stand_in = _STAND_IN if len(plain) <= _LONGEST_PHONE else _LONG_STAND_IN
    other, _ = _parse(b"\xff" * len(plain) if is_object else stand_in)
    payload = found if is_object else other
    fault = payloads.fault(payload, appid=expected.appid, openid=expected.openid)
    genuine = payloads.ends_as_wechats(plain, appid=expected.appid) and padded
    if not (is_object and complete and padded):
        fault = "unreadable" if genuine else _WRONG_KEY
    elif fault is None and not (
        expected.oldest <= payload["watermark"]["timestamp"] <= expected.newest
    ):
        return {}, DecryptionError("too_old", stale_key=False)
    if fault is None:
        return payload, None
    # A new key cannot help where the key is right. This tells nothing: see ends_as_wechats.
    unreadable = genuine and fault in {"unreadable", "form"}
    return {}, DecryptionError(fault, stale_key=not genuine, unreadable=unreadable)


def _decrypt(data: bytes, vector: bytes, key: bytes) -> tuple[bytes, bool]:
    """The text without its padding, and whether that is PKCS#7's; else the whole of it."""
    decryptor = Cipher(AES128(key), CBC(vector)).decryptor()
    plain = decryptor.update(data) + decryptor.finalize()
    length = plain[-1]
    padded = hmac.compare_digest(plain[-length:], bytes([length]) * length)
    padded &= 1 <= length <= _BLOCK
    return plain[:-length] if padded else plain, padded


def _parse(plain: bytes) -> tuple[Any, bool]:
    try:
        return payloads.parse(plain)
    except (ValueError, RecursionError):
        # A wrong key gets past the padding once in 250 times, and past the JSON hardly ever.
        return None, False
