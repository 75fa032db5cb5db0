"""Stands behind the commands in place of the stores, and remembers what it was asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from service.cli.admin_access import AdminAccess
from service.core.admin import Admin, SessionsEnded, SessionView, UserDetails, UserPage
from service.core.events import Event
from service.core.models import Phone, User, UserIdentity
from service.core.session_story import SessionEnd
from service.core.why_texts import Sentence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import tzinfo

    from service.config.settings import Settings
    from service.core.admin import SearchField

ALICE: Final = User(
    "alice-id", "小明\x1b[2J", "a.png", Phone("+86 13800000001"), None, 1764237780, 1764237781
)
SESSION: Final = SessionView("h" * 22, "wx1", "default", 1764237780123, 7000, "live", key_lost=True)
REPLACED: Final = Event(
    1764237780123,
    "replaced",
    user="alice-id",
    handle="h" * 22,
    appid="wx1",
    device="default",
    request_id="0123456789abcdef",
    address="192.0.2.0/24",
    id="1-0",
)


class FakeAdmin(Admin):
    """Knows one user."""

    def __init__(self, calls: list[tuple[Any, ...]], fault: Exception | None) -> None:
        self._calls = calls
        self._fault = fault

    def _called(self, *call: Any) -> None:
        self._calls.append(call)
        if self._fault:
            raise self._fault

    async def find(
        self, field: SearchField, value: str, *, limit: int = 50, after: str = ""
    ) -> UserPage:
        self._called("find", field, value, limit, after)
        return UserPage([], "") if value == "nobody" else UserPage([ALICE], "the-next")

    async def show(self, user_id: str) -> UserDetails:
        self._called("show", user_id)
        return UserDetails(ALICE, [UserIdentity("wx1", "openid-1", None)], [SESSION], [REPLACED])

    async def why(self, user_id: str, *, zone: tzinfo = UTC) -> list[SessionEnd]:
        self._called("why", user_id, zone)
        return [SessionEnd(1764237780123, "h" * 22, "replaced", Sentence("Replaced.", "被取代。"))]

    async def kick(
        self, user_id: str, *, by: str, appid: str | None = None, device: str | None = None
    ) -> int:
        self._called("kick", user_id, by, appid, device)
        return 2

    async def ban(
        self, user_id: str, *, by: str, reason: str = "", until: int | None = None
    ) -> tuple[User, int]:
        self._called("ban", user_id, by, reason, until)
        return ALICE, 1

    async def unban(self, user_id: str, *, by: str) -> User:
        self._called("unban", user_id, by)
        return ALICE

    async def delete(self, user_id: str, *, by: str) -> None:
        self._called("delete", user_id, by)

    async def end_sessions(
        self,
        *,
        by: str,
        appid: str | None = None,
        device: str | None = None,
        before: int | None = None,
    ) -> SessionsEnded:
        self._called("end_sessions", by, appid, device, before)
        return SessionsEnded(1764237780000, 1764237782000)


class FakeHistory:
    """Knows one event."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self._calls = calls

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
        self._calls.append(("events", user, [*handles], event, since, limit, before))
        return [REPLACED] if event in {"", "replaced"} else []

    async def live_sessions(self, appid: str, device: str = "") -> int:
        self._calls.append(("count", appid, device))
        return 1234


class FakeAccess:
    """Stands in for `open_admin`."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._fault = fault

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[AdminAccess]:
        admin, history = FakeAdmin(self.calls, self._fault), FakeHistory(self.calls)
        yield AdminAccess(admin, history, settings)
