"""Keys that platforms make always pass; what somebody typed until it was long enough does not."""

from __future__ import annotations

import base64
import random
import uuid
from typing import TYPE_CHECKING, Final

import pytest

from service.config.randomness import LEAST_BYTES, _compressed, looks_random

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHABETS: Final[dict[str, Callable[[random.Random], str]]] = {
    "32 hexadecimal digits": lambda dice: dice.randbytes(16).hex(),  # openssl rand -hex 16
    "64 hexadecimal digits, as Heroku makes": lambda dice: dice.randbytes(32).hex(),
    "base64": lambda dice: base64.b64encode(dice.randbytes(24)).decode(),
    "token_urlsafe(48)": lambda dice: base64.urlsafe_b64encode(dice.randbytes(48)).decode(),
    "a UUID": lambda dice: str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
    "32 letters": lambda dice: "".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=32)),
}


@pytest.mark.parametrize("make", ALPHABETS.values(), ids=ALPHABETS.keys())
def test_what_a_machine_makes_passes(make: Callable[[random.Random], str]) -> None:
    dice = random.Random(10)
    keys = [make(dice) for _ in range(3000)]
    assert all(looks_random(key) for key in keys)
    # Not by a hair: the next three thousand will do as well.
    assert min(_compressed(key.encode()) for key in keys) >= LEAST_BYTES + 3


@pytest.mark.parametrize(
    "key",
    [
        "a" * 32,
        "a" * 500,
        "ab" * 16,
        "changeme" * 4,
        "changemeplease12" * 2,
        "password-password-password-password",
        "secret_secret_secret_secret_secret_",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "zyxwvutsrqponmlkjihgfedcba9876543210",
        "12345678901234567890123456789012",
        "0123456789abcdef" * 4,
        "aabbccddeeffgghhiijjkkllmmnnoopp",
        "密钥" * 16,
        "0" * 31 + "1",
    ],
)
def test_what_was_typed_until_it_was_long_enough_does_not(key: str) -> None:
    assert len(key) >= 32
    assert not looks_random(key)
