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

    While only a part of a cluster is away it is 200, `degraded`: other users are
    served, and no other worker would do better.
    """
    context = request.app.ctx
    if not context.ready:
        raise SessionStoreUnavailable
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            whole = await context.services.sessions.ping()
    except TimeoutError:
        raise SessionStoreUnavailable from None
    return success(request, {"status": "ready" if whole else "degraded"})


for _route, _path in ((live, "/livez"), (ready, "/readyz")):
    health.add_route(_route, _path, methods=("GET", "HEAD"), ctx_public=True)
