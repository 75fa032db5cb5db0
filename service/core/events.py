"""What happens to sessions and users, as an operator wants to know it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

EventName: TypeAlias = Literal[
    "login",
    "login_refused",
    "shared",
    "replaced",
    "renewed",
    "logout",
    "expired",
    "kicked",
    "banned",
    "unbanned",
    "phone_bound",
    "account_linked",
    "account_deleted",
    "sessions_ended",
    "access_token_discarded",
]

HOW_COUNTED: Final = (
    "An estimate: the different sessions that a login opened, or use renewed, within the last"
    " SESSION_TTL, to about one in a hundred (HyperLogLog). Sessions that have ended since are"
    " counted until that time is over, and all of them up to a 24th of it longer."
)
"""What is to be known of `EventHistory.live_sessions`, for whoever reads the number."""


class Event(NamedTuple):
    """One of them. No openid, phone number, name or secret is in any field; "" is unknown."""

    at: int
    """Unix milliseconds."""
    event: EventName
    user: str = ""
    """The user's id."""
    handle: str = ""
    """The public half of the session's id."""
    appid: str = ""
    device: str = ""
    request_id: str = ""
    address: str = ""
    """The client's, cut as EVENTS_ADDRESS says."""
    reason: str = ""
    """Why, in a word or a few; what differs by event."""
    by: str = ""
    """Which operator: the name of the admin token, or `cli:<user of the machine>`."""
    id: str = ""
    """Where it stands in what is kept: events sort by it, and `after` takes it."""


class Events(Protocol):
    """Where they are told. Nothing is raised, and nobody waits."""

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
        """Log it, and keep it a moment later; time, request and address are added.

        `doubtful`: anybody can bring it about as often as they like, with made-up ids or
        codes. Of these so few are told that they never outnumber the others; the rest is
        counted.
        """
        ...


class EventHistory(Protocol):
    """Those that are kept, EVENTS_KEPT at most. Raises SessionStoreUnavailable."""

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
        """The newest first: of the user or one of the handles, of this name, from `since` on.

        `since`: Unix milliseconds. `before`: the id of an event; only older ones are told.
        Raises InvalidRequest for what is no such id.
        """
        ...

    async def live_sessions(self, appid: str, device: str = "") -> int:
        """How many sessions of a mini-program live, of one device class if named.

        An estimate, as HOW_COUNTED says: ended ones are still counted for a while.
        """
        ...
