"""A body that a head speaks of is not waited for where nobody has a use for it.

nginx passes on the length of a body that it keeps to itself, and a script of HAProxy's
the word that chunks follow: neither sends any of it when it asks who is calling.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.api.verify_requests import request

if TYPE_CHECKING:
    from tests.support.running import Api, Simulator

CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.fixture
async def session(api: Api, simulator: Simulator) -> str:
    login = await api.login(await simulator.code())
    return f"sessionid: {login.data['sessionid']}"


async def said(api: Api, *pieces: bytes) -> list[bytes]:
    """The heads of what is answered: first to all pieces together, then to each that follows."""
    port = int(api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heads = []
    try:
        # Half of what may pass until a body is given up: who waits for it comes too late.
        async with asyncio.timeout(5):
            for piece in pieces:
                writer.write(piece)
                heads.append(await reader.readuntil(b"\r\n\r\n"))
    finally:
        writer.transport.abort()
    return heads


PATHS = ["/verify", "/verify/api/orders/17?page=2", "/livez", "/readyz"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["HEAD", "POST"])
@pytest.mark.parametrize("promise", ["Content-Length: 77", "Transfer-Encoding: chunked"])
async def test_what_does_not_come_is_not_waited_for(
    api: Api, session: str, path: str, method: str, promise: str
) -> None:
    """And nothing that comes later is taken for a request: it may be the body."""
    if "verify" not in path and method == "POST":
        method = "GET"
    line = f"{method} {path} HTTP/1.1"
    [head] = await said(api, request(session, promise, line=line))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in head


@pytest.mark.parametrize("promise", ["Content-Length: 77", "Transfer-Encoding: chunked"])
async def test_nor_where_nobody_is_logged_in(api: Api, promise: str) -> None:
    [head] = await said(api, request(promise))
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in head


@pytest.mark.parametrize("path", ["/verify", "/livez"])
@pytest.mark.parametrize(
    ("promise", "body"),
    [
        ("Content-Length: 5", b"hello"),
        ("Transfer-Encoding: chunked", CHUNKS),
        ("Transfer-Encoding: chunked", b"0\r\n\r\n"),
    ],
)
async def test_what_has_come_is_left_out_and_the_next_request_served(
    api: Api, session: str, path: str, promise: str, body: bytes
) -> None:
    line = f"HEAD {path} HTTP/1.1"
    ask = request(session, promise, line=line, body=body)
    heads = await said(api, ask, ask, request(session, line=line), ask)
    assert len(heads) == 4
    assert all(head.startswith(b"HTTP/1.1 200 ") for head in heads)
    assert all(b"\r\nconnection: keep-alive\r\n" in head for head in heads)


@pytest.mark.parametrize("body", [CHUNKS[:7], CHUNKS[:-2], b"none of it", b"0\r\nA: b\r\n\r\n"])
async def test_after_half_of_the_chunks_the_connection_ends(
    api: Api, session: str, body: bytes
) -> None:
    [head] = await said(api, request(session, "Transfer-Encoding: chunked", body=body))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in head
