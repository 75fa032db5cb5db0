"""For probes: whether the process answers, and whether it can serve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

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
    from service.http.context import Services
    from service.http.request import AppRequest

health = Blueprint("health")

_TIMEOUT_SECONDS: Final = 0.5
_ERRORS: Final[dict[str, type[ServiceError]]] = {
    "redis": SessionStoreUnavailable,
    "database": UserStoreUnavailable,
}
_STATES: Final = ("ready", "degraded", "down")


async def live(request: AppRequest) -> HTTPResponse:
    """The process answers; says nothing of what it depends on."""
    return success(request, {"status": "live"})


async def ready(request: AppRequest) -> HTTPResponse:
    """200 when all can be served; 503 while Redis or the database is away or the worker stops.

    Away is also a Redis that is a replica, or a primary without the replicas that
    it has to have: what it says of a session may be old; and a database that takes
    no changes. `degraded`, which is a 200, means that some are served and no other
    worker would do better: a part of a cluster is away, say, or Redis is full.
    `reason` says why. `?exclude=` leaves a component out, for those who can do
    without; `?verbose` tells of each.
    """
    context = request.app.ctx
    if not context.ready:
        raise SessionStoreUnavailable
    asked = request.get_args(keep_blank_values=True)
    excluded = set(asked.getlist("exclude") or [])
    if not excluded <= set(_ERRORS):
        raise InvalidRequest("exclude", f"must be one of {', '.join(_ERRORS)}")
    found = await components(context.services)
    counting = [one for one in found if one.component not in excluded]
    worst = max(counting, key=lambda one: _STATES.index(one.state), default=None)
    data: dict[str, Any] = {"reason": worst.reason} if worst and worst.reason else {}
    if "verbose" in asked:
        data["components"] = [one._asdict() for one in found]
    if worst is None or worst.state != "down":
        return success(request, {"status": worst.state if worst else "ready", **data})
    error = _ERRORS[worst.component]()
    error.data = data or None
    raise error


async def components(services: Services) -> list[ComponentStatus]:
    """How everything is that the service leans on to be ready."""
    return list(await asyncio.gather(_redis(services.sessions), services.database.status()))


async def _redis(sessions: SessionStore) -> ComponentStatus:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            ailing = await sessions.ping()
    except TimeoutError:
        return ComponentStatus("redis", "down", "unreachable")
    except SessionStoreUnavailable as fault:
        return ComponentStatus("redis", "down", (fault.data or {}).get("reason", "unreachable"))
    if ailing is None:
        return ComponentStatus("redis", "ready", "")
    return ComponentStatus("redis", "degraded", ailing)


for _route, _path in ((live, "/livez"), (ready, "/readyz")):
    health.add_route(_route, _path, methods=("GET", "HEAD"), ignore_body=True, ctx_public=True)
