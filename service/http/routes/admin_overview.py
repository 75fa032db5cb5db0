"""What an operator looks at first: how everything is, and how it has been."""

from __future__ import annotations

import asyncio
import platform
import time
from typing import TYPE_CHECKING, Any, Final

from service import __version__
from service.core.errors import SessionStoreUnavailable
from service.http.routes.admin_views import outage_view
from service.http.routes.views import component_view

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.core.events import EventHistory
    from service.http.context import AppContext

_TIMEOUT_SECONDS: Final = 1.0


async def overview(context: AppContext) -> dict[str, Any]:
    """What is known now, within about a second.

    It is asked for when something is away, so what cannot be told is left out.
    """
    services = context.services
    components, live = await asyncio.gather(
        services.components.look(),
        _live_sessions(services.event_history, context.settings.apps),
    )
    told: dict[str, Any] = {
        "at": time.time_ns() // 1_000_000,
        "service": _service(context),
        "components": [component_view(one) for one in components],
        "liveSessions": live,
        "outages": [outage_view(one) for one in services.outages.recent()],
        "history": services.figures.history(),
    }
    return {name: value for name, value in told.items() if value is not None}


async def _live_sessions(
    history: EventHistory, appids: Iterable[str]
) -> list[dict[str, Any]] | None:
    """How many live, about, of each mini-program; None while nobody can tell."""
    appids = list(appids)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            counts = await asyncio.gather(*(history.live_sessions(appid) for appid in appids))
    except (SessionStoreUnavailable, TimeoutError):
        return None
    return [{"appid": appid, "count": count} for appid, count in zip(appids, counts, strict=True)]


def _service(context: AppContext) -> dict[str, Any]:
    """What answers: `startedAt` is of this worker, in Unix seconds."""
    settings = context.settings
    return {
        "version": __version__,
        "schema": context.services.database.schema._asdict(),
        "python": platform.python_version(),
        "environment": "production" if settings.production else "development",
        "workers": settings.web_concurrency,
        "startedAt": context.started_at,
        "stopping": context.stopping,
    }
