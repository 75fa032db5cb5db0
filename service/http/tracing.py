"""A span around each request, where TRACING asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.http.middleware import route_of
from service.http.responses import request_id
from service.tracing import RequestSpan

if TYPE_CHECKING:
    from sanic.response import BaseHTTPResponse

    from service.http.request import AppRequest

_CARRIERS: Final = ("traceparent", "tracestate")
_OTHER: Final = "_OTHER"
"""A method without a route, which is anybody's word (OpenTelemetry's semantic conventions)."""


async def begin_span(request: AppRequest) -> None:
    """Take over the trace of the gateway, if the request names one and only one."""
    given = {name: request.headers.getall(name, ()) for name in _CARRIERS}
    carrier = {name: values[0] for name, values in given.items() if len(values) == 1}
    route, method = route_of(request), request.method if request.route else _OTHER
    request.ctx.span = RequestSpan(
        f"{method} {route}",
        carrier,
        **{
            "http.request.method": method,
            "http.route": route,
            "minigate.request_id": request_id(request),
        },
    )


async def end_span(request: AppRequest, response: BaseHTTPResponse) -> None:
    """The answer is known; it has yet to be sent."""
    span: RequestSpan | None = getattr(request.ctx, "span", None)
    if span is not None:
        span.end(status=response.status)
        request.ctx.span = None
