"""The envelope of every answer, and the language and form that the client asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from sanic.helpers import has_message_body
from sanic.response import HTTPResponse

from service.core.errors import ServiceError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from service.http.request import AppRequest

_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_LANGUAGE = re.compile(r"\s*(zh|en)\b[^;,]*(?:;\s*q=([01](?:\.\d{1,3})?))?\s*", re.IGNORECASE)

_PRINTABLE: Final = bytes(range(0x20, 0x7F))
"""The printable characters of ASCII."""


class Response(HTTPResponse):
    """An HTTPResponse that writes its headers in one go.

    Sanic looks every character of every header up in a table, for line breaks
    that would forge further headers, and joins what comes out piece by piece:
    25 of the 50 microseconds that it takes to answer with ten of them. Whether
    all of it together is printable ASCII, and so has no line breaks, is answered
    at once; anything else goes Sanic's way.
    """

    __slots__ = ("outcome",)

    outcome: str
    """The name of the error that it tells of, for /metrics; not there where it tells of none."""

    @property
    def processed_headers(self) -> Iterator[tuple[bytes, bytes]]:
        """The headers as bytes: one pair, as Sanic puts a colon in it and a line break after it."""
        headers = self.headers
        headers.pop("alt-svc", None)  # Sanic's: where else the service is, which is nowhere
        if has_message_body(self.status):  # type: ignore[no-untyped-call] # Sanic's
            headers.setdefault("content-type", self.content_type)
        text = header_lines(headers)
        if text is None:
            return super().processed_headers
        name, _, rest = text.partition(b": ")
        return iter(((name, rest),))


def header_lines(headers: Mapping[str, object]) -> bytes | None:
    """The headers as lines; None where anything but printable ASCII is in them."""
    # Not f-strings: they take their time over the names, which are a subclass of str.
    lines = [name + ": " + str(value) for name, value in headers.items()]
    text = "\r\n".join(lines).encode(errors="surrogateescape")
    return text if are_lines(text, len(lines)) else None


def are_lines(text: bytes, count: int) -> bool:
    """Whether it is so many lines of printable ASCII."""
    return text.translate(None, _PRINTABLE) == b"\r\n" * (count - 1)


def success(
    request: AppRequest, data: Mapping[str, Any], *, top_level: Mapping[str, Any] | None = None
) -> Response:
    """200 with `data` in the envelope; `top_level` stands beside it for old clients."""
    body = {"code": 0, "msg": "ok", "data": data, **(top_level or {})}
    return Response(orjson.dumps(body), 200, headers_for(request), _JSON)


def failure(
    request: AppRequest,
    error: ServiceError,
    *,
    status: int | None = None,
    code: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer for `error`, as problem+json where the client asks for that.

    `status` and `code` override the error's own. A dead session's status follows
    AUTH_ERROR_STATUS, but never towards a gateway: it would take 200 for permission.
    """
    english = prefers_english(request)
    problem = _wants_problem(request)
    content = _problem(error, english=english) if problem else _envelope(error, english=english)
    content["requestId"] = request_id(request)
    if code is not None:
        content["code"] = code
    status = status or error.status
    answer_headers = {**headers_for(request), **(headers or {})}
    dead = error if isinstance(error, SessionError) else error.__cause__
    if isinstance(dead, SessionError):
        # Also beside a limit for dead sessions: a login spares its holder the wait.
        answer_headers["WWW-Authenticate"] = f'Session realm="minigate", error="{dead.error}"'
    gateway = getattr(getattr(request.route, "ctx", None), "gateway", False)
    if isinstance(error, SessionError) and not gateway:
        status = request.app.ctx.settings.auth_error_status
    if error.retry_after is not None:
        answer_headers["Retry-After"] = str(error.retry_after)
    if problem:
        content["status"] = status
    answer = Response(orjson.dumps(content), status, answer_headers, _PROBLEM if problem else _JSON)
    answer.outcome = error.error
    return answer


def headers_for(request: AppRequest) -> dict[str, str]:
    """The headers of every answer: nothing here may be cached, everything can be traced."""
    return common_headers(request_id(request))


def common_headers(request_id: str) -> dict[str, str]:
    """The same for the request of this id."""
    return {"Cache-Control": "no-store", "X-Request-ID": request_id}


def request_id(request: AppRequest) -> str:
    """What the request is called in its answer and in the log."""
    return request.info.request_id


def prefers_english(request: AppRequest) -> bool:
    """Whether `Accept-Language` puts English before Chinese; Chinese is the default."""
    best = {"zh": 0.0, "en": 0.0}
    for part in request.headers.getone("accept-language", "")[:256].split(","):
        match = _LANGUAGE.fullmatch(part)
        if match:
            language, weight = match[1].lower(), float(match[2] or 1)
            # An earlier one wins a tie.
            best[language] = max(best[language], weight - 1e-6 * sum(w > 0 for w in best.values()))
    return best["en"] > best["zh"]


def _wants_problem(request: AppRequest) -> bool:
    return _PROBLEM in request.headers.getone("accept", "").lower()


def _envelope(error: ServiceError, *, english: bool) -> dict[str, Any]:
    return {
        "code": error.code,
        "error": error.error,
        "msg": error.en if english else error.zh,
        "data": error.data,
    }


def _problem(error: ServiceError, *, english: bool) -> dict[str, Any]:
    """RFC 9457, with the envelope's code, error and data as extensions."""
    return {
        "type": f"urn:minigate:error:{error.error}",
        "title": error.en if english else error.zh,
        "code": error.code,
        "error": error.error,
        "data": error.data,
    }
