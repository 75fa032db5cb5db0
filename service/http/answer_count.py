"""Each request that is answered, as /metrics counts it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from service.metrics.requests import READ, WRITE
from service.metrics.series import requests

if TYPE_CHECKING:
    from sanic.response import BaseHTTPResponse

    from service.http.request import AppRequest

NO_ROUTE: Final = "none"
"""The route of addresses that lead nowhere."""
CLIENT_GONE: Final = "client_gone"
"""The outcome of requests whose client has hung up before the answer."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CLASSES: Final = {number: f"{number}xx" for number in range(1, 6)}


def count_answer(request: AppRequest, response: BaseHTTPResponse, *, began: float | None) -> None:
    """Count it. `began`: when its head had been read, by `perf_counter`; None if it never was."""
    route = request.route
    if route is None:
        address, reads = NO_ROUTE, request.method in _READING
    else:
        address = f"/{route.path}"
        reads = request.method in _READING or hasattr(route.ctx, "gateway")
    if request.conn_info is not None and request.conn_info.lost:
        outcome = CLIENT_GONE  # Sanic's own answer, which nobody gets
    else:
        outcome = getattr(response, "outcome", None) or _CLASSES[response.status // 100]
    seconds = time.perf_counter() - began if began else 0.0
    requests.answered(address, READ if reads else WRITE, outcome, seconds)
