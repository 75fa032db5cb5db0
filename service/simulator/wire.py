"""How WeChat writes its replies."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    import random

    from service.simulator.errcodes import Refusal


class ReplyFormat(NamedTuple):
    """How the replies of some endpoints look."""

    content_type: str
    before_rid: str
    """What stands between the text of an error and its request id."""


SNS = ReplyFormat("text/plain", ", rid: ")
"""That of the /sns/ endpoints: JSON all the same, and without a charset."""
API = ReplyFormat("application/json; charset=utf-8", " rid: ")
"""That of the /cgi-bin/ and /wxa/ endpoints."""


@dataclass(slots=True)
class Reply:
    """One reply before it becomes bytes; a fault may change any part of it."""

    fields: dict[str, Any]
    content_type: str
    body: bytes | None = None
    """Set when the bytes are no longer what ``fields`` say."""

    @property
    def succeeded(self) -> bool:
        """Whether it answers a call that was not refused."""
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


def hint(rng: random.Random) -> str:
    """Return what getuserphonenumber puts before the rid of some errors."""
    return f" hint: [{urlsafe_b64encode(rng.randbytes(12)).decode()}]"


def success(**fields: Any) -> dict[str, Any]:
    """Return what the /wxa/ endpoints answer to a good call."""
    return {"errcode": 0, "errmsg": "ok", **fields}


def error(refusal: Refusal, reply_format: ReplyFormat, *, rid: str) -> dict[str, Any]:
    """Return what is answered to a call that is refused."""
    return {"errcode": refusal.errcode, "errmsg": f"{refusal.text}{reply_format.before_rid}{rid}"}


@lru_cache(maxsize=8)
def http_date(second: int) -> str:
    """Return the Date header for a Unix time."""
    return formatdate(second, usegmt=True)
