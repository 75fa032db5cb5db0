"""Phone numbers: who has which, and how WeChat writes them."""

from __future__ import annotations

import re
from hashlib import blake2b
from string import digits
from typing import Any, NamedTuple

_MAINLAND = re.compile(r"(?:\+86 )?(1[0-9]{10})")
_FOREIGN = re.compile(r"\+([1-9][0-9]{0,3}) ([0-9]{4,14})")
_MADE_UP = "1380000"


class Phone(NamedTuple):
    """A number and the country it belongs to."""

    country_code: str
    pure: str

    def payload(self, *, appid: str, timestamp: int) -> dict[str, Any]:
        """Return what WeChat tells of the number, its fields in WeChat's order."""
        is_mainland = self.country_code == "86"
        return {
            "phoneNumber": self.pure if is_mainland else f"+{self.country_code}{self.pure}",
            "purePhoneNumber": self.pure,
            "countryCode": self.country_code,
            "watermark": {"timestamp": timestamp, "appid": appid},
        }


class Phones:
    """Everybody's number: the one that was set, else one made up from their name."""

    def __init__(self) -> None:
        self._by_user: dict[str, Phone] = {}

    def of(self, user: str) -> Phone:
        """Return the user's number."""
        return self._by_user.get(user) or made_up(user)

    def set(self, user: str, phone: Phone) -> None:
        """Give the user a number, which stays theirs."""
        self._by_user[user] = phone


def parse_phone(text: str) -> Phone | None:
    """Read ``13800000000``, ``+86 13800000000`` or ``+852 61234567``; None for anything else."""
    if mainland := _MAINLAND.fullmatch(text):
        return Phone("86", mainland[1])
    if (foreign := _FOREIGN.fullmatch(text)) and foreign[1] != "86":
        return Phone(foreign[1], foreign[2])
    return None


def made_up(user: str) -> Phone:
    """Return ``1380000`` and four digits that follow from the name, the same for ever.

    Names that differ in the number at their end only, user-0 to user-9999, never share a
    phone; two others do once in 10,000 times.
    """
    stem = user.rstrip(digits)
    number = int(user[len(stem) :][-4:] or 0)
    start = int.from_bytes(blake2b(stem.encode(), digest_size=4).digest())
    return Phone("86", f"{_MADE_UP}{(start + number) % 10_000:04}")
