"""What of a login is an event."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.core.errors import ServiceError
    from service.core.events import Events
    from service.core.models import OpenedSession, UserMatch


def tell_opened(
    events: Events, opened: OpenedSession, match: UserMatch, *, appid: str, device: str
) -> None:
    """A login that succeeded, and what else it has done."""
    tell = partial(
        events.record,
        user=match.user.id,
        handle=opened.session_id.handle,
        appid=appid,
        device=device,
    )
    if opened.replaced:
        tell("replaced", reason="key_lost" if opened.key_lost else "")
    tell("shared" if opened.shared else "login", reason="new_user" if match.is_new else "")
    if match.has_joined:
        tell("account_linked", reason="phone")
    if match.has_new_phone:
        tell("phone_bound", reason="login")


def tell_refused(events: Events, error: ServiceError, *, appid: str, device: str) -> None:
    """A login that failed, for `error`: its name, and WeChat's errcode or the limit's name.

    It costs nothing to be refused, so it is doubtful unless WeChat has said who it was.
    """
    detail = error.errcode or (error.data or {}).get("limit")
    events.record(
        "login_refused",
        user=error.user,
        appid=appid,
        device=device,
        reason=f"{error.error}:{detail}" if detail else error.error,
        doubtful=not error.user,
    )
