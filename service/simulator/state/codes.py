"""Codes: what the app on the phone hands a mini-program, each good for one exchange."""

from __future__ import annotations

import string
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import random

    from service.simulator.state.phones import Phone

_LOGIN_LENGTH = 32
_PHONE_BYTES = 32
_ALPHABET = (string.ascii_letters + string.digits).encode()
_BYTE_TO_LETTER = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))


@dataclass(slots=True, kw_only=True)
class Code:
    """What every code has."""

    text: str
    appid: str
    user: str
    issued_at: float
    used: bool = False


@dataclass(slots=True, kw_only=True)
class LoginCode(Code):
    """What wx.login gives, and what its exchange will yield."""

    session_key: str


@dataclass(slots=True, kw_only=True)
class PhoneCode(Code):
    """What the button that asks for the phone number gives."""

    phone: Phone


C = TypeVar("C", bound=Code)


class IssuedCodes(Generic[C]):
    """The codes of one sort, used or not; those older than ``life`` seconds are forgotten."""

    def __init__(self, *, life: float) -> None:
        self._life = life
        self._codes: dict[str, C] = {}
        self._by_age: deque[C] = deque()

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, code: C) -> None:
        """Remember a code that has just been issued."""
        self._forget_expired(code.issued_at)
        self._codes[code.text] = code
        self._by_age.append(code)

    def find(self, text: str, *, now: float) -> C | None:
        """Return the code, used or not; None when unknown or expired."""
        self._forget_expired(now)
        return self._codes.get(text)

    def _forget_expired(self, now: float) -> None:
        while self._by_age and now - self._by_age[0].issued_at > self._life:
            del self._codes[self._by_age.popleft().text]


def login_code_text(rng: random.Random) -> str:
    """Return 32 letters and digits beginning with ``0``."""
    return f"0{rng.randbytes(_LOGIN_LENGTH - 1).translate(_BYTE_TO_LETTER).decode()}"


def phone_code_text(rng: random.Random) -> str:
    """Return 64 lower-case hexadecimal digits."""
    return rng.randbytes(_PHONE_BYTES).hex()
