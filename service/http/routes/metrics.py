"""For Prometheus: what all workers have counted."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sanic import Blueprint

from service.core.errors import ServiceUnavailable
from service.http.operator import operator_of
from service.http.responses import Response, headers_for
from service.metrics.scrape import render, shared_folder

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.http.request import AppRequest

metrics = Blueprint("metrics")

_OF_PROXIES: Final = frozenset({"forwarded", "via", "x-real-ip"})
"""And whatever begins with X-Forwarded-."""


# Not guarded by a session: for this machine, or behind METRICS_TOKEN.
@metrics.get("/metrics", ctx_public=True)
async def show_metrics(request: AppRequest) -> HTTPResponse:
    """Every series, as text or in the form of OpenMetrics."""
    if not _is_of_this_machine(request):
        token = request.app.ctx.settings.metrics_token
        await operator_of(request, {"metrics": token} if token else {})
    if shared_folder() is None and request.app.ctx.settings.web_concurrency > 1:
        raise ServiceUnavailable  # those of one worker would pass for those of all
    content, content_type = await render(request.headers.getone("accept", ""))
    return Response(content, 200, headers_for(request), content_type)


def _is_of_this_machine(request: AppRequest) -> bool:
    """Whether somebody on this machine asks, and no proxy on it for somebody else.

    A browser here that some page had ask would name the host of that page.
    """
    proxied = any(
        name in _OF_PROXIES or name.startswith("x-forwarded-") for name in request.headers
    )
    # nginx asks by HTTP/1.0 as long as nobody tells it otherwise.
    if proxied or request.version != "1.1":
        return False
    return _is_loopback(request.ip) and _is_loopback(_without_port(request.headers["host"]))


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
