"""For probes: whether the process answers, and whether it can serve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sanic import Blueprint

from service.core.errors import (
    InvalidRequest,
    ServiceError,
    SessionStoreUnavailable,
    UserStoreUnavailable,
)
from service.core.models import ComponentStatus
from service.http.responses import success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.core.ports import SessionStore
    from service.http.request import AppRequest

health = Blueprint("health")

_TIMEOUT_SECONDS: Final = 0.5
_ERRORS: Final[dict[str, type[ServiceError]]] = {
    "redis": SessionStoreUnavailable,
    "database": UserStoreUnavailable,
}


async def live(request: AppRequest) -> HTTPResponse:
    """The process answers; says nothing of what it depends on."""
    return success(request, {"status": "live"})


async def ready(request: AppRequest) -> HTTPResponse:
    """200 when all can be served; 503 while Redis or the database is away or the worker stops.

    `degraded`, which is a 200, means that some are served and no other worker would do
    better. `?exclude=` leaves a component out, for those who can do without;
    `?verbose` tells of each.
    """
    context = request.app.ctx
    if not context.ready:
        raise SessionStoreUnavailable
    asked = request.get_args(keep_blank_values=True)
    excluded = set(asked.getlist("exclude") or [])
    if not excluded <= set(_ERRORS):
        raise InvalidRequest("exclude", f"must be one of {', '.join(_ERRORS)}")
    services = context.services
    found = await asyncio.gather(_redis(services.sessions), services.database.status())
    counting = [one for one in found if one.component not in excluded]
    details = None
    if "verbose" in asked:
        details = {"components": [one._asdict() for one in found]}
    for one in counting:
        if one.state == "down":
            error = _ERRORS[one.component]()
            error.data = details
            raise error
    whole = all(one.state == "ready" for one in counting)
    return success(request, {"status": "ready" if whole else "degraded", **(details or {})})


async def _redis(sessions: SessionStore) -> ComponentStatus:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            whole = await sessions.ping()
    except (TimeoutError, SessionStoreUnavailable):
        return ComponentStatus("redis", "down", "no answer")
    if whole:
        return ComponentStatus("redis", "ready", "")
    return ComponentStatus("redis", "degraded", "a part of it does not answer")


for _route, _path in ((live, "/livez"), (ready, "/readyz")):
    health.add_route(_route, _path, methods=("GET", "HEAD"), ctx_public=True)
