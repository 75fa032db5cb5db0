"""Admin in memory, which remembers what it was asked, and a history of events."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from service.core.admin import Admin, SessionsEnded, SessionView, UserDetails, UserPage
from service.core.errors import UserNotFound
from service.core.events import Event
from service.core.models import Ban, Phone, User, UserIdentity
from service.core.session_story import SessionEnd
from service.core.why_texts import Sentence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from service.core.admin import SearchField

USER_ID = "kJ3_9dfQa-Zx01Lm"
SESSION = SessionView("h" * 22, "wxa", "default", 1_790_000_000_123, 3600, "live", key_lost=False)
EVENT = Event(
    1_790_000_000_456,
    "login",
    user=USER_ID,
    handle="h" * 22,
    appid="wxa",
    request_id="r-1",
    id="1790000000456-0",
)


def somebody(ban: Ban | None = None) -> User:
    return User(
        USER_ID, "Alice", "a.jpg", Phone("+86 13800000001"), ban, 1_780_000_000, 1_780_000_001
    )


class RememberingAdmin(Admin):
    """Has one user, somebody(), and one page more of them than was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def find(
        self, field: SearchField, value: str, *, limit: int = 50, after: str = ""
    ) -> UserPage:
        self.asked.append(("find", field, value, limit, after))
        return UserPage([somebody()], "" if after else "more")

    async def show(self, user_id: str) -> UserDetails:
        self._ask(user_id, "show")
        identities = [UserIdentity("wxa", "o1", None), UserIdentity("wxb", "o2", "u2")]
        return UserDetails(somebody(), identities, [SESSION], [EVENT])

    async def why(self, user_id: str, *, zone: tzinfo = UTC) -> list[SessionEnd]:
        self._ask(user_id, "why", zone)
        return [
            SessionEnd(
                1_790_000_000_789, "h" * 22, "logout", Sentence("Logged out.", "已退出登录。")
            )
        ]

    async def kick(
        self, user_id: str, *, by: str, appid: str | None = None, device: str | None = None
    ) -> int:
        self._ask(user_id, "kick", by, appid, device)
        return 2

    async def ban(
        self, user_id: str, *, by: str, reason: str = "", until: int | None = None
    ) -> tuple[User, int]:
        self._ask(user_id, "ban", by, reason, until)
        return somebody(Ban(1_790_000_000, until, reason)), 1

    async def unban(self, user_id: str, *, by: str) -> User:
        self._ask(user_id, "unban", by)
        return somebody()

    async def delete(self, user_id: str, *, by: str) -> None:
        self._ask(user_id, "delete", by)

    async def end_sessions(
        self,
        *,
        by: str,
        appid: str | None = None,
        device: str | None = None,
        before: int | None = None,
    ) -> SessionsEnded:
        self.asked.append(("end_sessions", by, appid, device, before))
        return SessionsEnded(before or 1_790_000_000_000, 1_790_000_002_000)

    async def discard_access_token(self, appid: str, token: str, *, by: str) -> bool:
        self.asked.append(("discard_access_token", appid, token, by))
        return token == "the-one"

    def _ask(self, user_id: str, *what: Any) -> None:
        self.asked.append((user_id, *what))
        if user_id != USER_ID:
            raise UserNotFound


class RememberedEvents:
    """The EventHistory port: as many events as there are asked for, or what is given."""

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events = events
        self.asked: list[dict[str, Any]] = []

    async def find(self, **asked: Any) -> Sequence[Event]:
        self.asked.append(asked)
        return self.events[: asked["limit"]]

    async def live_sessions(self, appid: str, device: str = "") -> int:
        self.asked.append({"appid": appid, "device": device})
        return 7
