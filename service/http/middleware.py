"""What happens around every route: the guard before it, the answer to any error after it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from service.core.errors import (
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
    SessionExpired,
)
from service.http.dead_sessions import count_dead_session
from service.http.responses import failure, request_id
from service.http.session_id import session_id_of
from service.logs import describe
from service.metrics.series import session_checks

if TYPE_CHECKING:
    from sanic.exceptions import SanicException
    from sanic.response import BaseHTTPResponse, HTTPResponse

    from service.core.models import Session
    from service.http.request import AppRequest

log = logging.getLogger(__name__)

_BY_STATUS: dict[int, type[ServiceError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimeout,
    413: BodyTooLarge,
    414: BodyTooLarge,
    500: InternalError,
    503: ServiceUnavailable,  # Sanic's RESPONSE_TIMEOUT
}
_FIRST_SERVER_ERROR = 500
_LONGEST_METHOD: Final = 20
"""Characters of a method that the access log shows: none that is registered has more."""


async def authenticate(request: AppRequest) -> None:
    """Let a request pass to its route only with a live session, unless the route is public.

    A path without a route, or without this method, has no session to protect:
    it gets its 404 or 405.
    """
    route = request.route
    if route is None or getattr(route.ctx, "public", False):
        return
    try:
        request.ctx.session = await _session_of(request)
    except ServiceError as error:
        session_checks.add(error.error)
        if isinstance(error, SessionExpired):
            await count_dead_session(request)
        raise
    session_checks.add("ok")


async def _session_of(request: AppRequest) -> Session:
    session_id = session_id_of(request)
    protocol: Any = request.transport.get_protocol()
    fault = protocol.take_fault()
    if fault:
        raise fault
    return await request.app.ctx.services.sessions.validate(session_id)


async def answer_service_error(request: AppRequest, error: ServiceError) -> HTTPResponse:
    """An error of ours has its answer in the error table."""
    return failure(request, error)


async def answer_framework_error(request: AppRequest, error: SanicException) -> HTTPResponse:
    """What the server itself refuses: unknown routes, bad framing, bodies over the cap."""
    status = error.status_code or _FIRST_SERVER_ERROR
    known = _BY_STATUS.get(status)
    if known is None:
        return failure(request, InvalidRequest("request", "not readable as HTTP"), status=status)
    if status >= _FIRST_SERVER_ERROR:
        log.error("answered %d: %s", status, describe(error))
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return failure(request, known(), status=status, headers=allow)


async def answer_any_error(request: AppRequest, error: Exception) -> HTTPResponse:
    """A fault of ours: the log has it, the client has the request id to quote."""
    log.error("failed: %s", describe(error))
    return failure(request, InternalError())


async def start_timing(request: AppRequest) -> None:
    """For the access log."""
    request.ctx.started = time.monotonic()


async def log_access(request: AppRequest, response: BaseHTTPResponse) -> None:
    """One line per request."""
    started = getattr(request.ctx, "started", None)
    say_access(
        request_id(request), request.method, route_of(request), response.status, since=started
    )


def route_of(request: AppRequest) -> str:
    """The pattern of its route, `-` without one: never the URL, which may hold a code."""
    return f"/{request.route.path}" if request.route else "-"


def say_access(
    request_id: str, method: str, address: str, status: int, *, since: float | None
) -> None:
    """Write the line. `since`: when the request was there, in monotonic seconds."""
    log.info(
        "answered",
        extra={
            "method": method[:_LONGEST_METHOD],
            "route": address,
            "status": status,
            "ms": round((time.monotonic() - since) * 1000, 1) if since else 0,
            "requestId": request_id,
        },
    )
