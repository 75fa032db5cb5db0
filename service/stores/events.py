"""Events of sessions and users: each a line in the log, and kept in Redis a moment later."""

from __future__ import annotations

import logging
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from service.core.events import Event
from service.core.request_info import current_request
from service.metrics.series import events
from service.stores.doubtful_events import DoubtfulEvents

if TYPE_CHECKING:
    from typing import Literal

    from service.core.events import EventName
    from service.core.request_info import RequestInfo
    from service.stores.event_writer import EventWriter

log = logging.getLogger(__name__)

_PLAIN: Final = re.compile(r"[a-z_]+(?: [a-z]+=[\w.:/-]++)*+", re.ASCII)
"""A line of words, each of a field of its own: where there are as many as fields, none is
another's."""
_WORD: Final = re.compile(r"[\w.:/-]+", re.ASCII)
_LONGEST: Final = 200
"""Characters of a field that are told."""
_LONGEST_PLAIN: Final = 500
"""Characters of a line that need no second look."""


class RedisEvents:
    """The Events port."""

    def __init__(
        self, writer: EventWriter, *, address: Literal["network", "full", "none"] = "network"
    ) -> None:
        """`address`: what is told of a client's."""
        self._writer = writer
        self._address = address
        self._doubtful = DoubtfulEvents()

    def record(
        self,
        event: EventName,
        *,
        user: str = "",
        handle: str = "",
        appid: str = "",
        device: str = "",
        reason: str = "",
        by: str = "",
        doubtful: bool = False,
    ) -> None:
        events.add(event)
        if not doubtful:
            self._doubtful.note_certain()
        elif not self._doubtful.may_tell(event, handle):
            return
        request = current_request.get()
        request_id, address = (request.request_id, self._place(request)) if request else ("", "")
        at = time.time_ns() // 1_000_000
        told = Event(
            at, event, user, handle, appid, device, request_id, address, reason=reason, by=by
        )
        fields = _fields(told)
        text = _text(event, fields)
        is_plain = text.count(" ") == len(fields) and _PLAIN.fullmatch(text)
        if not is_plain or len(text) > _LONGEST_PLAIN:
            told = Event(at, event, *map(_clean, told[2:]))
            fields = _fields(told)
            text = _text(event, {name: _quoted(value) for name, value in fields.items()})
        log.info("%s", text, extra={"event": event, **fields})
        self._writer.add(told)

    def _place(self, request: RequestInfo) -> str:
        """What is told of where a request comes from."""
        if self._address == "none":
            return ""
        address = request.client_address or ""
        return address if self._address == "full" else _network(address)


def _fields(event: Event) -> dict[str, str]:
    """What stands in the line, behind the event's name: each field that says something."""
    _, _, user, handle, appid, device, _, address, reason, by, _ = event
    fields = {}
    if handle:
        fields["handle"] = handle
    if appid:
        fields["appid"] = appid
    if device:
        fields["device"] = device
    if user:
        fields["user"] = user
    if address:
        fields["address"] = address
    if reason:
        fields["reason"] = reason
    if by:
        fields["by"] = by
    return fields


def _text(event: str, fields: dict[str, str]) -> str:
    return " ".join([event, *[f"{name}={value}" for name, value in fields.items()]])


def _clean(text: str) -> str:
    """A text from outside as one line, and no longer than it takes to read it."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


def _quoted(text: str) -> str:
    return text if _WORD.fullmatch(text) else orjson.dumps(text).decode()


@lru_cache(maxsize=1024)
def _network(address: str) -> str:
    """`203.0.113.0/24` of an IPv4 address; what is a network already stays as it is."""
    is_ipv4 = address.count(".") == 3 and "/" not in address  # noqa: PLR2004 # three dots
    return f"{address.rpartition('.')[0]}.0/24" if is_ipv4 else address
