"""Login codes: what wx.login hands a mini-program, good for one exchange."""

from __future__ import annotations

import string
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_LENGTH = 32
_ALPHABET = (string.ascii_letters + string.digits).encode()
_BYTE_TO_LETTER = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))


@dataclass(slots=True)
class Code:
    """One code and what its exchange will yield."""

    text: str
    appid: str
    user: str
    session_key: str
    issued_at: float
    used: bool = False


class CodeBook:
    """The codes still remembered: used or not, none older than ``life`` seconds."""

    def __init__(self, *, life: float, rng: random.Random) -> None:
        self._life = life
        self._rng = rng
        self._codes: dict[str, Code] = {}
        self._by_age: deque[Code] = deque()

    def __len__(self) -> int:
        return len(self._codes)

    def issue(self, *, appid: str, user: str, session_key: str, now: float) -> Code:
        """Return a new code for ``user`` in ``appid``."""
        self._forget_expired(now)
        letters = self._rng.randbytes(_LENGTH - 1).translate(_BYTE_TO_LETTER)
        code = Code(f"0{letters.decode()}", appid, user, session_key, now)
        self._codes[code.text] = code
        self._by_age.append(code)
        return code

    def find(self, text: str, *, appid: str, now: float) -> Code | None:
        """Return the code, used or not; None when unknown, expired or another app's."""
        self._forget_expired(now)
        code = self._codes.get(text)
        return code if code is not None and code.appid == appid else None

    def _forget_expired(self, now: float) -> None:
        while self._by_age and now - self._by_age[0].issued_at > self._life:
            del self._codes[self._by_age.popleft().text]
