"""Seals what must not lie open: session secrets, session_keys, tokens, phone numbers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.core import base64url

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY_ID_BYTES: Final = 3
KEY_ID_CHARACTERS: Final = 4
"""Of what is sealed: they tell by which key it was."""
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Keyring:
    """AES-256-GCM under the first of several keys; opens what any of them sealed.

    To rotate, put a new key in front, and drop the old one when nothing is
    sealed by it any more: a session's life later, and after `migrate` has run.
    Nonces are random, so a key should seal no more than 2^32 times: eleven
    years at a million logins a day.
    """

    def __init__(self, ring: Sequence[str], *, purpose: str) -> None:
        """`ring`: the operator's secrets, one or more, of any text; `purpose` keeps uses apart."""
        derived = [_derive(secret, purpose) for secret in ring]
        self._first = derived[0][0]
        self._keys = {key_id: AESGCM(key) for key_id, key in derived}
        self._fingerprint_keys = [_derive(secret, f"{purpose} fingerprint")[1] for secret in ring]

    def seal(self, plain: bytes, *, owner: str) -> str:
        """Encrypt for `owner`: base64url text that opens for no other owner."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        aad = owner.encode() + self._first
        box = self._first + nonce + self._keys[self._first].encrypt(nonce, plain, aad)
        return base64url.encode(box)

    def open(self, sealed: str, *, owner: str) -> bytes | None:
        """Decrypt; None when the key has left the ring or the text is not of this owner."""
        try:
            box = base64url.decode(sealed)
            key_id, rest = box[:_KEY_ID_BYTES], box[_KEY_ID_BYTES:]
            nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
            return self._keys[key_id].decrypt(nonce, ciphertext, owner.encode() + key_id)
        except (KeyError, InvalidTag, ValueError):
            return None

    def is_current(self, sealed: str) -> bool:
        """Whether the first key of the ring sealed this."""
        return base64url.decode(sealed[:KEY_ID_CHARACTERS]) == self._first

    def place_of(self, sealed: str) -> int | None:
        """Which key of the ring sealed this, 0 for the first; None for one that is not in it.

        The first KEY_ID_CHARACTERS of it will do.
        """
        try:
            key_id = base64url.decode(sealed[:KEY_ID_CHARACTERS])
        except ValueError:
            return None
        return next((at for at, one in enumerate(self._keys) if one == key_id), None)

    def fingerprints(self, text: str) -> list[str]:
        """Keyed hashes that find `text` without holding it: one per key, the first key's first."""
        hashes = [hmac.digest(key, text.encode(), "sha256") for key in self._fingerprint_keys]
        return [base64url.encode(one) for one in hashes]


def _derive(secret: str, purpose: str) -> tuple[bytes, bytes]:
    """An AES key from any secret, and a short name for it that tells nothing of it."""
    info = f"minigate {purpose}".encode()
    key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=info).derive(secret.encode())
    return hashlib.sha256(b"key id" + key).digest()[:_KEY_ID_BYTES], key
