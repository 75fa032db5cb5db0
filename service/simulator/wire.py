"""Bytes as WeChat writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import random

    from service.simulator.errcodes import Refusal

SNS_CONTENT_TYPE = "text/plain"
"""JSON all the same, and without a charset."""


@dataclass(slots=True)
class Reply:
    """One reply before it becomes bytes; a fault may change any part of it."""

    fields: dict[str, Any]
    content_type: str
    body: bytes | None = field(default=None)
    """Set when the bytes are no longer what ``fields`` say."""

    @property
    def succeeded(self) -> bool:
        """Whether this is the reply to a call that did its work."""
        return not self.fields.get("errcode")

    def encode(self) -> bytes:
        """Return the body."""
        return compact_json(self.fields) if self.body is None else self.body


def compact_json(fields: dict[str, Any]) -> bytes:
    r"""Write JSON without spaces, and every ``/`` as ``\/``, as WeChat does."""
    # A slash can only stand inside a string, so a plain replacement is safe.
    return orjson.dumps(fields).replace(b"/", b"\\/")


def request_id(*, now: float, rng: random.Random) -> str:
    """Return a rid; its first group is the server's Unix time in seconds."""
    noise = rng.getrandbits(64)
    return f"{int(now):08x}-{noise >> 32:08x}-{noise & 0xFFFFFFFF:08x}"


def sns_error(refusal: Refusal, *, rid: str) -> dict[str, Any]:
    """Return the error object of the /sns/ family, whose rid follows a comma."""
    return {"errcode": refusal.errcode, "errmsg": f"{refusal.stem}, rid: {rid}"}


@lru_cache(maxsize=8)
def http_date(second: int) -> str:
    """Return the Date header for a Unix time."""
    return formatdate(second, usegmt=True)
