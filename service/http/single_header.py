"""A header that decides something: two that differ are none, whoever reads the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import InvalidRequest

if TYPE_CHECKING:
    from service.http.request import AppRequest


def single_header(request: AppRequest, name: str) -> str:
    """Its value, however often it was sent; "" without one.

    Raises InvalidRequest where two values differ: a proxy in front may go by the other.
    """
    values = set(request.headers.getall(name, ()))
    if len(values) > 1:
        raise InvalidRequest(name, "given twice, with different values")
    return str(values.pop()) if values else ""
