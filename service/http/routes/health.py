"""For probes: whether the process answers, and whether it can serve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sanic import Blueprint

from service.core.errors import SessionStoreUnavailable
from service.http.responses import success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.http.request import AppRequest

health = Blueprint("health")

_TIMEOUT_SECONDS: Final = 0.5


async def live(request: AppRequest) -> HTTPResponse:
    """The process answers; says nothing of what it depends on."""
    return success(request, {"status": "live"})


async def ready(request: AppRequest) -> HTTPResponse:
    """200 when sessions can be served; 503 while Redis is away or the worker is stopping.

    And while a replica answers, or a primary without the replicas that it has to
    have: what it says of a session may be old. `degraded`, with 200, where
    sessions are served and no other worker would do better: a part of a cluster
    is away, or Redis is full, or its disk. `reason` says which.
    """
    context = request.app.ctx
    if not context.ready:
        raise SessionStoreUnavailable
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            ailing = await context.services.sessions.ping()
    except TimeoutError:
        raise SessionStoreUnavailable from None
    if ailing is not None:
        return success(request, {"status": "degraded", "reason": ailing})
    return success(request, {"status": "ready"})


for _route, _path in ((live, "/livez"), (ready, "/readyz")):
    health.add_route(_route, _path, methods=("GET", "HEAD"), ctx_public=True)
