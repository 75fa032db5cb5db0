"""The session_key WeChat keeps for each user of each app."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class _Key:
    text: str
    made_at: float
    ends_at: float


class SessionKeys:
    """One valid key per user and app; a login may replace it."""

    def __init__(
        self, *, interval: float, rotation: float, life: float, rng: random.Random
    ) -> None:
        self._interval = interval
        self._rotation = rotation
        self._life = life
        self._rng = rng
        self._keys: dict[tuple[str, str], _Key] = {}

    def current(self, *, appid: str, user: str, now: float) -> str | None:
        """Return the key that is valid now; None before the first login and after its end."""
        key = self._keys.get((appid, user))
        return None if key is None or now >= key.ends_at else key.text

    def at_login(self, *, appid: str, user: str, now: float) -> str:
        """Return the key this login gets: the current one, or a new one that voids it."""
        key = self._keys.get((appid, user))
        if key is None or now >= key.ends_at or self._is_replaced(key, now):
            return self.rotate(appid=appid, user=user, now=now)
        return key.text

    def rotate(self, *, appid: str, user: str, now: float) -> str:
        """Replace the key at once, whatever the interval; the life of the new one begins now."""
        key = _Key(self._new_text(), now, now + self._life)
        self._keys[appid, user] = key
        return key.text

    def reset(self, *, appid: str, user: str) -> str:
        """Replace the key as a server may demand; the new one ends when the old would have.

        KeyError if the user never had one.
        """
        key = replace(self._keys[appid, user], text=self._new_text())
        self._keys[appid, user] = key
        return key.text

    def _new_text(self) -> str:
        return b64encode(self._rng.randbytes(16)).decode()

    def _is_replaced(self, key: _Key, now: float) -> bool:
        return now - key.made_at >= self._interval and self._rng.random() < self._rotation
