"""Reading what the control routes are sent, and saying what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sanic.response import json

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest


class BadBodyError(Exception):
    """The body cannot be used; the message says what to send instead."""

    def __init__(self, message: str, *, field: str | None = None, allowed: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.allowed = allowed

    def to_response(self) -> HTTPResponse:
        """Return the answer, with status 400."""
        return json(
            {"error": self.message, "field": self.field, "allowed": self.allowed}, status=400
        )


def json_object(request: SimulatorRequest, *, example: str) -> dict[str, Any]:
    """Return the object in the body, whatever content type came with it.

    BadBodyError if there is none, with the example of what to send.
    """
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise BadBodyError(f"send a JSON object, for example {example}")
    return body
