"""Leave for web pages to call the /sim/ routes from another port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic.response import empty

if TYPE_CHECKING:
    from sanic.response import BaseHTTPResponse, HTTPResponse

    from service.simulator.context import SimulatorRequest

_PREFIX = "/sim/"


async def allow_pages(request: SimulatorRequest, response: BaseHTTPResponse) -> None:
    """Let any page read the answer, errors included: nobody here is real."""
    if request.path.startswith(_PREFIX):
        response.headers["Access-Control-Allow-Origin"] = "*"


async def preflight(_: SimulatorRequest) -> HTTPResponse:
    """Tell a browser what a page may send."""
    return empty(
        headers={
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": "600",
        }
    )
