"""Where it is kept which sessions were opened or renewed lately: a HyperLogLog per slot of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_KIND: Final = "live:"
_SLOTS: Final = 24
"""In the life of a session; of one that has begun, all is counted (HOW_COUNTED says so)."""


class LiveSlots:
    """The keys, of an app in one slot of a cluster, so that they can be counted together."""

    def __init__(self, prefix: str, *, ttl: int) -> None:
        """`prefix`: of all keys. `ttl`: seconds that a login or a renewal gives."""
        self._prefix = prefix + _KIND
        self._slot_ms = max(ttl * 1000 // _SLOTS, 1)
        self.life_ms = ttl * 1000 + 2 * self._slot_ms
        """How long a key has to stay, milliseconds."""

    def at(self, now_ms: int) -> int:
        """The number of the slot of time, for Unix milliseconds."""
        return now_ms // self._slot_ms

    def key(self, appid: str, device: str, slot: int) -> str:
        """The key of the sessions of an app and a device class."""
        return f"{self._prefix}{{{appid}}}:{device}:{slot}"

    def keys(self, appid: str, devices: Sequence[str], now_ms: int) -> list[str]:
        """Those that may have sessions that live."""
        newest = self.at(now_ms)
        slots = range(newest - _SLOTS, newest + 1)
        return [self.key(appid, device, slot) for device in devices for slot in slots]
