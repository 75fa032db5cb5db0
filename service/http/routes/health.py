"""For probes: whether the process answers, and whether it can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sanic import Blueprint

from service import __version__
from service.core.errors import (
    InvalidRequest,
    ServiceError,
    ServiceUnavailable,
    SessionStoreUnavailable,
    UserStoreUnavailable,
)
from service.http.responses import success
from service.http.routes.views import component_view

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.core.components import Component
    from service.http.request import AppRequest

health = Blueprint("health")

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
    `reason` says why: `stopping` is of a worker that was told to stop, whatever else
    is the matter. `?exclude=` leaves a component out, for those who can do without;
    `?verbose` tells of each.
    """
    context = request.app.ctx
    asked = request.get_args(keep_blank_values=True)
    excluded = set(asked.getlist("exclude") or [])
    if not excluded <= set(_ERRORS):
        raise InvalidRequest("exclude", f"must be one of {', '.join(_ERRORS)}")
    if context.stopping:
        raise _because(ServiceUnavailable(), {"reason": "stopping"})
    found = await context.services.components.look()
    needed = set(_ERRORS) - excluded
    counting = [one.status for one in found if one.status.component in needed]
    worst = max(counting, key=lambda one: _STATES.index(one.state), default=None)
    data: dict[str, Any] = {"reason": worst.reason} if worst and worst.reason else {}
    if "verbose" in asked:
        data["components"] = [component_view(_public(one)) for one in found]
        data["schema"] = context.services.database.schema._asdict()
    if worst is None or worst.state != "down":
        return success(request, {"status": worst.state if worst else "ready", **data})
    raise _because(_ERRORS[worst.component](), data)


def _public(one: Component) -> Component:
    """Without what WeChat holds against the service, which is for `/admin/overview` to tell."""
    if one.status.component in _ERRORS:
        return one
    return one._replace(status=one.status._replace(reason=""))


def _because(error: ServiceError, data: dict[str, Any]) -> ServiceError:
    error.data = data or None
    return error


async def version(request: AppRequest) -> HTTPResponse:
    """Which version answers, and which one of the database's tables it was written for.

    What it runs on is told to operators only (`/admin/overview`).
    """
    expected = request.app.ctx.services.database.schema.expected
    return success(request, {"version": __version__, "schema": expected})


for _route, _path in ((live, "/livez"), (ready, "/readyz"), (version, "/version")):
    health.add_route(_route, _path, methods=("GET", "HEAD"), ignore_body=True, ctx_public=True)
