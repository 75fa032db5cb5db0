"""What WeChat makes with a session_key: encryptedData and signatures."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

BLOCK = 16


def encrypt(payload: dict[str, Any], *, session_key: str, iv: bytes) -> dict[str, str]:
    """Return ``encryptedData`` and ``iv`` of the payload: AES-128-CBC over compact JSON.

    Unlike the JSON of the API, this one leaves its slashes as they are.
    """
    plain = orjson.dumps(payload)
    padding = BLOCK - len(plain) % BLOCK
    encryptor = Cipher(AES128(b64decode(session_key)), CBC(iv)).encryptor()
    sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return {"encryptedData": b64encode(sealed).decode(), "iv": b64encode(iv).decode()}


def raw_data_signature(raw_data: str, *, session_key: str) -> str:
    """Return the ``signature`` that comes with ``rawData``; the key's base64 text is signed."""
    text = (raw_data + session_key).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def login_state_signature(message: str, *, session_key: str) -> str:
    """Return the signature by which a server proves that it holds the key.

    HMAC-SHA256, keyed with the base64 text of the session_key. checksession and
    resetusersessionkey take it over the empty message.
    """
    return hmac.new(session_key.encode(), message.encode(), hashlib.sha256).hexdigest()
