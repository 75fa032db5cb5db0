"""The Events port, which remembers what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.events import Event

if TYPE_CHECKING:
    from service.core.events import EventName


class RecordedEvents:
    def __init__(self) -> None:
        self.told: list[Event] = []

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
        doubtful: bool = False,  # noqa: ARG002 # all are told
    ) -> None:
        self.told.append(Event(0, event, user, handle, appid, device, reason=reason, by=by))

    @property
    def names(self) -> list[EventName]:
        return [one.event for one in self.told]
