"""What `why` does."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from service.cli.admin_access import AdminAccess, with_admin
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE
from service.cli.times import shown
from service.core.errors import ServiceError
from service.core.lifetime import Lifetime
from service.core.models import handle_of
from service.core.why import why_logged_out  # type: ignore[import-not-found] # still to come

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.cli.output import Output

_NEAR_MS: Final = 600_000
_UNKNOWN: Final = Text(
    "No end of a session of this user is known: none has ended, or it is longer ago than the events"
    " that are kept (EVENTS_KEPT).",
    "没有该用户会话结束的记录：没有会话结束过，或者早于所保留的事件（EVENTS_KEPT）。",
)
_LINE: Final = Text("{at}  {said}", "{at}  {said}")


def tell_why(output: Output, *, user: str, at: int | None, as_json: bool) -> int:
    """Say why sessions of the user ended; `at`: about when, Unix milliseconds.

    Returns the exit code. Raises Refused.
    """

    async def tell(opened: AdminAccess) -> int:
        ends = near(await _ends(opened, user), at)
        if as_json:
            output.json({"ends": [_as_json(one, output) for one in ends]})
            return FINE if ends else FAILED
        for one in ends:
            output.say(_LINE, at=shown(one.at), said=output.text(Text(*one.said)))
        if not ends:
            output.say(_UNKNOWN)
        return FINE if ends else FAILED

    return with_admin(tell)


def near(ends: Sequence[Any], at: int | None) -> Sequence[Any]:
    """Those of about that time, or else the one that is nearest to it; all where none is said."""
    if at is None or not ends:
        return ends
    about = [one for one in ends if abs(one.at - at) <= _NEAR_MS]
    return about or [min(ends, key=lambda one: abs(one.at - at))]


async def _ends(opened: AdminAccess, user: str) -> Sequence[Any]:
    settings = opened.settings
    sessions: Sequence[Any] = ()
    handles: list[str] = []
    ban_until = None
    try:
        details = await opened.admin.show(user)
    except ServiceError as error:
        if error.error != "user_not_found":  # else the events may still know of a deleted one
            raise
    else:
        sessions = details.sessions
        handles = [
            handle_of(one.appid, one.openid, device)
            for one in details.identities
            for device in settings.device_classes
        ]
        ban_until = getattr(getattr(details.user, "ban", None), "until", None)  # still to come
    ends: Sequence[Any] = await why_logged_out(
        opened.history,
        user=user,
        sessions=sessions,
        handles=handles,
        lifetime=Lifetime.of(
            ttl=settings.session_ttl,
            max_age=settings.session_max_age,
            sliding=settings.session_renewal == "sliding",
        ),
        now=int(time.time() * 1000),
        ban_until=ban_until,
        zone=datetime.now().astimezone().tzinfo or UTC,
    )
    return ends


def _as_json(end: Any, output: Output) -> dict[str, Any]:
    said = output.text(Text(*end.said))
    return {"at": end.at, "handle": end.handle, "cause": end.cause, "text": said}
