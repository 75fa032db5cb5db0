"""What `why` does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from service.cli.admin_access import AdminAccess, with_admin
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE
from service.cli.times import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from service.cli.output import Output
    from service.core.session_story import SessionEnd

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
        ends = near(await opened.admin.why(user, zone=_here()), at)
        if as_json:
            output.json({"ends": [_as_json(one, output) for one in ends]})
            return FINE if ends else FAILED
        for one in ends:
            output.say(_LINE, at=shown(one.at), said=output.text(Text(*one.said)))
        if not ends:
            output.say(_UNKNOWN)
        return FINE if ends else FAILED

    return with_admin(tell)


def near(ends: Sequence[SessionEnd], at: int | None) -> Sequence[SessionEnd]:
    """Those of about that time, or else the one that is nearest to it; all where none is said."""
    if at is None or not ends:
        return ends
    about = [one for one in ends if abs(one.at - at) <= _NEAR_MS]
    return about or [min(ends, key=lambda one: abs(one.at - at))]


def _here() -> tzinfo:
    return datetime.now().astimezone().tzinfo or UTC


def _as_json(end: SessionEnd, output: Output) -> dict[str, Any]:
    said = output.text(Text(*end.said))
    return {"at": end.at, "handle": end.handle, "cause": end.cause, "text": said}
