"""Headers as the wire gets them: Sanic's own bytes, whatever is in them."""

from __future__ import annotations

import pytest
from sanic.headers import format_http1_response
from sanic.response import HTTPResponse

from service.http.responses import Response

HEADERS = [
    {"Cache-Control": "no-store", "X-Empty": "", "X-Number": 7, "X-Colons": "a: b: c"},
    {"X-Forged": "x\r\nSet-Cookie: a=b"},
    {"X-Forged\r\nSet-Cookie": "a=b"},
    {"X-Forged": "x\nSet-Cookie: a=b", "X-Other": "y"},
    {"X-Chinese": "用户"},
    {"X-Control": "a\x00b\x7f"},
    {"X-Forged": "x\r", "\nX-Other": "y"},
    {"X-Undecodable": "\udce5"},
]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("status", [200, 204, 401])
def test_they_are_those_of_sanic(headers: dict[str, str], status: int) -> None:
    ours, sanics = (kind(b"", status, headers, "text/plain") for kind in (Response, HTTPResponse))
    written = format_http1_response(status, ours.processed_headers)
    assert written == format_http1_response(status, sanics.processed_headers)
    assert b"\r\nSet-Cookie:" not in written
    assert b"\nSet-Cookie:" not in written
