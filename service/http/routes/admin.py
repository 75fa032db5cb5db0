"""The admin API: what operators see of users, sessions and the service, and what they may do.

Authorization is one of ADMIN_TOKENS in a header that no browser adds by itself, so a foreign
page cannot have its visitors act here: there is no CSRF to ward off, and no CORS to allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from sanic import Blueprint

from service.config.shown import shown_settings
from service.core.errors import InvalidRequest, UnknownAppid
from service.core.events import HOW_COUNTED
from service.http.operator import operator_of
from service.http.responses import success
from service.http.routes.admin_overview import overview
from service.http.routes.admin_requests import (
    BanUser,
    CountSessions,
    DiscardAccessToken,
    EndSessions,
    FindEvents,
    FindUsers,
    Kick,
    Order,
    read_user_id,
)
from service.http.routes.admin_views import (
    account_view,
    details_view,
    end_view,
    event_view,
    page_view,
    setting_view,
)
from service.http.routes.body import read_body, read_query

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.core.admin import Admin
    from service.core.events import EventHistory
    from service.http.request import AppRequest

admin = Blueprint("admin", url_prefix="/admin")

AnyOrder = TypeVar("AnyOrder", bound=Order)


@admin.middleware("request")  # type: ignore[untyped-decorator] # Sanic's
async def check_token(request: AppRequest) -> None:
    """Around every route of this blueprint, so that none can be without."""
    tokens = {one.name: one.secret for one in request.app.ctx.settings.admin_tokens}
    request.ctx.operator = await operator_of(request, tokens)


def _admin(request: AppRequest) -> Admin:
    return request.app.ctx.services.admin


def _history(request: AppRequest) -> EventHistory:
    return request.app.ctx.services.event_history


def _order(request: AppRequest, kind: type[AnyOrder]) -> AnyOrder:
    """The body, where all of it may be left out."""
    return read_body(request, kind) if request.body else kind()


async def find_users(request: AppRequest) -> HTTPResponse:
    """Users by one of five fields."""
    asked = read_query(request, FindUsers)
    field, value = asked.search
    page = await _admin(request).find(field, value, limit=asked.limit, after=asked.after or "")
    return success(request, page_view(page))


async def show_user(request: AppRequest, user_id: str) -> HTTPResponse:
    """A user with all that is known of them."""
    user_id = read_user_id(user_id)
    details = await _admin(request).show(user_id)
    ends = await _admin(request).why(user_id)
    return success(request, {**details_view(details), "why": [end_view(one) for one in ends]})


async def kick(request: AppRequest, user_id: str) -> HTTPResponse:
    """End a user's sessions."""
    order = _order(request, Kick)
    ended = await _admin(request).kick(
        read_user_id(user_id), by=request.ctx.operator, appid=order.appid, device=order.device
    )
    return success(request, {"ended": ended})


async def ban(request: AppRequest, user_id: str) -> HTTPResponse:
    """Keep a user out, for good or for a time."""
    order = _order(request, BanUser)
    user, ended = await _admin(request).ban(
        read_user_id(user_id), by=request.ctx.operator, reason=order.reason, until=order.until
    )
    return success(request, {"user": account_view(user), "ended": ended})


async def unban(request: AppRequest, user_id: str) -> HTTPResponse:
    """Let a user in again."""
    user = await _admin(request).unban(read_user_id(user_id), by=request.ctx.operator)
    return success(request, {"user": account_view(user)})


async def delete(request: AppRequest, user_id: str) -> HTTPResponse:
    """Remove a user and everything kept of them."""
    await _admin(request).delete(read_user_id(user_id), by=request.ctx.operator)
    return success(request, {"deleted": True})


async def end_sessions(request: AppRequest) -> HTTPResponse:
    """End all sessions that match: all there are for `{}`, so that has to be said."""
    order = read_body(request, EndSessions)
    ended = await _admin(request).end_sessions(
        by=request.ctx.operator, appid=order.appid, device=order.device, before=order.before
    )
    return success(request, {"before": ended.before, "holdsFrom": ended.holds_from})


async def count_sessions(request: AppRequest) -> HTTPResponse:
    """How many sessions of a mini-program live, about."""
    asked = read_query(request, CountSessions)
    settings = request.app.ctx.settings
    if asked.appid not in settings.apps:
        raise UnknownAppid
    if asked.device is not None and asked.device not in settings.device_classes:
        raise InvalidRequest("device", f"must be one of {', '.join(settings.device_classes)}")
    count = await _history(request).live_sessions(asked.appid, asked.device or "")
    return success(request, {"count": count, "how": HOW_COUNTED})


async def find_events(request: AppRequest) -> HTTPResponse:
    """What happened, the newest first."""
    asked = read_query(request, FindEvents)
    events = await _history(request).find(
        user=asked.user or "",
        event=asked.event or "",
        since=asked.since or 0,
        limit=asked.limit,
        before=asked.before or "",
    )
    more = events[-1].id if len(events) == asked.limit else None
    return success(request, {"events": [event_view(one) for one in events], "next": more})


async def show_overview(request: AppRequest) -> HTTPResponse:
    """How the service is and has been."""
    return success(request, await overview(request.app.ctx))


async def show_settings(request: AppRequest) -> HTTPResponse:
    """The settings in effect, without a secret."""
    settings = shown_settings(request.app.ctx.settings)
    return success(request, {"settings": [setting_view(one) for one in settings]})


async def discard_access_token(request: AppRequest) -> HTTPResponse:
    """Forget an access_token that WeChat takes no more, if it is the one that is kept."""
    order = read_body(request, DiscardAccessToken)
    discarded = await _admin(request).discard_access_token(
        order.appid, order.token, by=request.ctx.operator
    )
    return success(request, {"discarded": discarded})


_ROUTES: Final = (
    (find_users, "GET", "/users"),
    (show_user, "GET", "/users/<user_id>"),
    (delete, "DELETE", "/users/<user_id>"),
    (kick, "POST", "/users/<user_id>/kick"),
    (ban, "POST", "/users/<user_id>/ban"),
    (unban, "POST", "/users/<user_id>/unban"),
    (end_sessions, "POST", "/sessions/end"),
    (count_sessions, "GET", "/sessions/count"),
    (find_events, "GET", "/events"),
    (show_overview, "GET", "/overview"),
    (show_settings, "GET", "/settings"),
    (discard_access_token, "POST", "/access-token/discard"),
)
for _route, _method, _path in _ROUTES:
    # Not guarded by a session: `check_token` is.
    admin.add_route(_route, _path, methods=(_method,), ctx_public=True)
