"""Which web pages may call the /sim/ routes: those of this machine, from any port."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sanic.response import empty, json

if TYPE_CHECKING:
    from sanic.response import BaseHTTPResponse, HTTPResponse

    from service.simulator.context import SimulatorRequest

_PREFIX: Final = "/sim/"
_OTHER_SITE: Final = "a web page may call this only from the host that the simulator is on"


async def refuse_other_sites(request: SimulatorRequest) -> HTTPResponse | None:
    """Answer 403 to calls from the pages of other sites; None lets the others through.

    A browser sends such calls without asking first, and hides only the answer: any
    site that a developer visits could unplug Redis.
    """
    if not request.path.startswith(_PREFIX) or _origin(request) is None or _is_own_page(request):
        return None
    return json({"error": _OTHER_SITE}, status=403)


async def allow_own_pages(request: SimulatorRequest, response: BaseHTTPResponse) -> None:
    """Let a page of the same host read the answer, errors included."""
    origin = _origin(request)
    if origin is not None and request.path.startswith(_PREFIX) and _is_own_page(request):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"


async def preflight(_: SimulatorRequest) -> HTTPResponse:
    """Tell a browser what a page may send."""
    return empty(
        headers={
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": "600",
        }
    )


def _origin(request: SimulatorRequest) -> str | None:
    return request.headers.getone("origin", None)


def _is_own_page(request: SimulatorRequest) -> bool:
    """Whether the page came from the host that it calls, at whatever port.

    That alone does not do: whoever owns a name can have it lead to this machine
    once their page is loaded.
    """
    try:
        page = urlsplit(_origin(request) or "").hostname
        called = urlsplit(f"//{request.headers.getone('host', '')}").hostname
    except ValueError:  # no URL at all
        return False
    if page is None or page != called:
        return False
    return page == "localhost" or _is_own_address(page, request)


def _is_own_address(host: str, request: SimulatorRequest) -> bool:
    """Whether it is a loopback address, or the one that this request came in at."""
    try:
        address = ip_address(host)
    except ValueError:  # a name
        return False
    reached = request.conn_info and request.conn_info.sockname[0]
    return address.is_loopback or str(address) == reached
