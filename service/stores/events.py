"""Events of sessions and users: each a line in the log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from service.core.events import Event
from service.core.request_info import current_request_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.core.events import EventName

log = logging.getLogger(__name__)


class RedisEvents:
    """The Events and EventHistory ports; none are kept yet."""

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
    ) -> None:
        told = Event(
            time.time_ns() // 1_000_000,
            event,
            user,
            handle,
            appid,
            device,
            current_request_id(),
            reason=reason,
            by=by,
        )
        fields = [f"{name}={value}" for name, value in told._asdict().items() if value]
        log.info("%s", " ".join(fields[1:]))

    async def find(self, **_wanted: object) -> Sequence[Event]:
        return ()
