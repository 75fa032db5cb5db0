"""Why a user was logged out: from what is kept of events, and the sessions as they are now."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import TYPE_CHECKING, Final

from service.core.session_story import SessionEnd, SessionStory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from service.core.events import Event, EventHistory
    from service.core.lifetime import Lifetime
    from service.core.models import SessionView

_MOST_EVENTS: Final = 1000


async def why_logged_out(
    history: EventHistory,
    *,
    user: str,
    sessions: Sequence[SessionView],
    handles: Sequence[str],
    lifetime: Lifetime,
    now: int,
    ban_until: int | None = None,
    zone: tzinfo = UTC,
) -> list[SessionEnd]:
    """The same as `explain`, with the events of the user that are kept.

    `handles`: all that the user's sessions can have. Raises SessionStoreUnavailable.
    """
    events, ended = await asyncio.gather(
        history.find(user=user, handles=handles, limit=_MOST_EVENTS),
        history.find(event="sessions_ended", limit=_MOST_EVENTS),
    )
    return explain(
        [*events, *ended], sessions, lifetime=lifetime, now=now, ban_until=ban_until, zone=zone
    )


def explain(
    events: Sequence[Event],
    sessions: Sequence[SessionView],
    *,
    lifetime: Lifetime,
    now: int,
    ban_until: int | None = None,
    zone: tzinfo = UTC,
) -> list[SessionEnd]:
    """Each end of a session that the events of one user tell, the newest first.

    `events`: of the user and of their handles, and `sessions_ended`; in any order. `sessions`:
    what is there now under these handles. `now`: Unix milliseconds. `ban_until`: Unix
    seconds, of the ban that holds. `zone`: for times in a sentence.
    """
    views = {one.handle: one for one in sessions}
    newest_ban = max((one.at for one in events if one.event == "banned"), default=0)
    ban_end = (newest_ban, ban_until * 1000) if ban_until is not None else None
    stories: dict[str, SessionStory] = {}
    for handle in [*(one.handle for one in events if one.handle), *views]:
        stories.setdefault(handle, SessionStory(handle, lifetime, zone, ban_end))
    # What happened within a millisecond stays in the order that it was written in.
    for event in sorted(sorted(events, key=_order), key=lambda one: one.at):
        for story in stories.values():
            if event.handle in {story.handle, ""} or event.event == "account_deleted":
                story.hear(event)
    for story in stories.values():
        story.finish(views.get(story.handle), now)
    ends = [end for story in stories.values() for end in story.ends]
    return sorted(ends, key=lambda one: one.at, reverse=True)


def _order(event: Event) -> tuple[int, ...]:
    return tuple(int(part) for part in event.id.split("-") if part.isdecimal())
