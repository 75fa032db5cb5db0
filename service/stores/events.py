"""Events of sessions and users: each a line in the log, and kept in Redis a moment later."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

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

_FIELDS: Final = ("handle", "appid", "device", "user", "address", "reason", "by")
_LONGEST: Final = 200
"""Characters of a field that are told."""


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
        told = [_clean(one) for one in (handle, appid, device, user, address, reason, by)]
        fields = {name: value for name, value in zip(_FIELDS, told, strict=True) if value}
        log.info(event, extra=fields)  # which adds the request's id by itself
        self._writer.add(Event(time.time_ns() // 1_000_000, event, request_id=request_id, **fields))

    def _place(self, request: RequestInfo) -> str:
        """What is told of where a request comes from."""
        if self._address == "none":
            return ""
        address = request.client_address or ""
        return address if self._address == "full" else _network(address)


def _clean(text: str) -> str:
    """A text from outside as one line, and no longer than it takes to read it."""
    if text.isprintable() and len(text) <= _LONGEST:
        return text
    shown = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


@lru_cache(maxsize=1024)
def _network(address: str) -> str:
    """`203.0.113.0/24` of an IPv4 address; what is a network already stays as it is."""
    is_ipv4 = address.count(".") == 3 and "/" not in address  # noqa: PLR2004 # three dots
    return f"{address.rpartition('.')[0]}.0/24" if is_ipv4 else address
