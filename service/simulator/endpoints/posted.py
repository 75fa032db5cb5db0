"""Reading the JSON that a call of a /wxa/ endpoint posts."""

from __future__ import annotations

from typing import Any

import orjson

from service.simulator.errcodes import Refusal, refusal


def posted_json(raw: bytes) -> dict[str, Any] | Refusal:
    """Return the object, whatever content type came with it."""
    if not raw:
        return refusal(44002)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return refusal(47001)
    return body if isinstance(body, dict) else refusal(47001)
