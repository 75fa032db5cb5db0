"""Events that are kept, and sessions that live: read from Redis."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from service.core.errors import InvalidRequest, SessionStoreUnavailable
from service.stores import event_record
from service.stores.event_writer import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from service.core.events import Event
    from service.redis.client import RedisClient
    from service.stores.live_slots import LiveSlots

_PAGE: Final = 500
"""Entries that are asked for at once: Redis serves nobody else for about 0.3 ms."""
_LATE_MS: Final = 3_600_000
"""An event may come to the stream so much later than it happened: Redis was away."""
_ID: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,19})", re.ASCII)
_NEWEST: Final = "+"


class RedisEventHistory:
    """The EventHistory port."""

    def __init__(
        self, redis: RedisClient, slots: LiveSlots, *, kept: int, devices: Sequence[str]
    ) -> None:
        """`kept`: how many events stay at most. `devices`: all device classes."""
        self._redis = redis
        self._slots = slots
        self._kept = kept
        self._devices = devices
        self._key = redis.prefix + KIND

    async def find(
        self,
        *,
        user: str = "",
        handles: Sequence[str] = (),
        event: str = "",
        since: int = 0,
        limit: int = 100,
        before: str = "",
    ) -> Sequence[Event]:
        newest, left = _before(before) if before else _NEWEST, self._kept
        found: dict[bytes, Event] = {}  # by their text: one that was written twice is told once
        named = frozenset((user, *handles)) - {""}
        while left > 0:
            page = await self._page(newest, min(left, _PAGE))
            for one, raw in _read(page, named):
                if _is_wanted(one, named, event, since):
                    found.setdefault(raw, one)
                    if len(found) == limit:
                        return list(found.values())
            left -= _PAGE
            if len(page) < _PAGE or _milliseconds(page[-1][0]) < since - _LATE_MS:
                break
            newest = _before(page[-1][0].decode())
        return list(found.values())

    async def live_sessions(self, appid: str, device: str = "") -> int:
        devices = (device,) if device else self._devices
        keys = self._slots.keys(appid, devices, time.time_ns() // 1_000_000)
        count = await self._redis.count_distinct(*keys)
        if not isinstance(count, int):
            raise SessionStoreUnavailable  # the reply to something else
        return count

    async def _page(self, newest: str, count: int) -> list[Any]:
        page = await self._redis.entries(self._key, newest=newest, count=count)
        if isinstance(page, list) and all(_is_entry(one) for one in page):
            return page
        raise SessionStoreUnavailable  # the reply to something else


def _is_entry(entry: Any) -> bool:
    match entry:
        case [bytes() as name, list()]:
            return _ID.fullmatch(name.decode("latin-1")) is not None
    return False


def _read(page: list[Any], named: frozenset[str]) -> Iterator[tuple[Event, bytes]]:
    """Events with their texts; of those that name nobody wanted, as few as possible."""
    needles = [one.encode() for one in named]
    for name, fields in page:
        match fields:
            case [event_record.FIELD, bytes() as raw]:
                if needles and not any(one in raw for one in needles):
                    continue
                event = event_record.read(raw, id=name.decode())
                if event is not None:
                    yield event, raw


def _is_wanted(one: Event, named: frozenset[str], event: str, since: int) -> bool:
    if named and one.user not in named and one.handle not in named:
        return False
    return one.at >= since and event in {"", one.event}


def _before(event: str) -> str:
    """The id before that of an event: ranges begin with what they name."""
    match = _ID.fullmatch(event)
    if match is None:
        raise InvalidRequest("before", "the id of an event")
    milliseconds, number = int(match[1]), int(match[2])
    if number:
        return f"{milliseconds}-{number - 1}"
    return f"{max(milliseconds - 1, 0)}-{2**64 - 1}" if milliseconds else "0-0"


def _milliseconds(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
