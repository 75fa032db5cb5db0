"""Uploads that stall, or are not wanted, while they are sent."""

from __future__ import annotations

import asyncio
import http.client
import io
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.http.deadlines import Phase
from tests.support.pictures import LARGEST, form, form_headers, honest, part
from tests.support.process import eventually
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

MOST = 200_000
"""Bytes of a picture."""
PICTURE = form(part(honest((90, 60)) + b"\0" * (MOST - 20_000)))


async def log_in(api: Api, simulator: Simulator, user: str) -> dict[str, str]:
    return {"sessionid": (await api.login(await simulator.code(user))).data["sessionid"]}


async def upload(api: Api, session: dict[str, str]) -> Answer:
    headers = session | form_headers()
    return await api.ask("POST", "/me/avatar", data=PICTURE, headers=headers)


@asynccontextmanager
async def begun(
    api: Api, headers: dict[str, str], body: bytes = b""
) -> AsyncIterator[asyncio.StreamReader]:
    """An upload by hand, of which so much is sent, and no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST /me/avatar HTTP/1.1\r\nHost: here\r\n{lines}\r\n".encode() + body)
    try:
        yield reader
    finally:
        writer.transport.abort()


async def test_stalled_uploads_keep_nobody_out(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    """All but a byte at once, and then nothing: that kept everybody else out for 74 s."""
    limited = settings(wechat_api_base=(simulator.url,), avatar_max_bytes=MOST)
    async with running_service(limited) as api, AsyncExitStack() as stack:
        uploads = api.app.ctx.services.uploads
        stalled = []
        for number in range(6):
            session = await log_in(api, simulator, f"user{number}")
            headers = session | form_headers() | {"Content-Length": str(len(PICTURE))}
            stalled.append(await stack.enter_async_context(begun(api, headers, PICTURE[:-1])))
        left = 6 * (MOST - len(PICTURE) + 1)
        await eventually(lambda: uploads.bytes_left == left, within=5, what="six are kept")
        honest_one = await log_in(api, simulator, "bob")
        answer = await upload(api, honest_one)
        if answer.status == 503:  # unless getting here took so long
            assert answer.code == 50312
            await asyncio.sleep(int(answer.headers["Retry-After"]))
            answer = await upload(api, honest_one)
        assert answer.status == 200
        ended = await next(asyncio.as_completed([one.read() for one in stalled], timeout=5))
        assert ended.startswith(b"HTTP/1.1 503")
        assert b'"code":50312' in ended
        assert len(uploads.coming) == 5


async def test_who_gave_way_may_ask_further(api: Api, simulator: Simulator) -> None:
    """Though the rest came just when it was ended."""
    uploads, connections = api.app.ctx.services.uploads, api.app.ctx.connections
    headers = await log_in(api, simulator, "alice") | form_headers()
    async with begun(api, headers | {"Content-Length": str(len(PICTURE))}, PICTURE[:-1]) as stalled:
        await eventually(
            lambda: uploads.bytes_left < 6 * LARGEST - len(PICTURE) + 2, within=5, what="it is kept"
        )
        (upload,) = uploads.coming
        (connection,) = (one for one in connections.open if one.wait.phase is Phase.BODY)
        upload.give_way()
        connection.data_received(PICTURE[-1:])
        async with asyncio.timeout(5):
            assert b" 503 " in await stalled.readuntil(b"\r\n")
        await eventually(lambda: connection.wait.phase is Phase.IDLE, within=5, what="it is idle")


async def test_who_sends_too_much_hears_it(api: Api, simulator: Simulator) -> None:
    """Also who reads no answer before all is sent."""
    headers = await log_in(api, simulator, "alice") | form_headers()
    large = form(part(b"x" * 3 * 1024 * 1024))

    def ask() -> int:
        with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=20)) as plain:
            plain.request("POST", "/me/avatar", large, headers)
            return plain.getresponse().status

    for _ in range(3):
        form_file = io.BytesIO(large)
        async with api.http.post(f"{api.url}/me/avatar", data=form_file, headers=headers) as reply:
            assert (reply.status, (await reply.json())["code"]) == (413, 41300)
        assert await asyncio.to_thread(ask) == 413


async def test_who_is_refused_is_not_asked_for_the_picture(api: Api, simulator: Simulator) -> None:
    session = await log_in(api, simulator, "alice")
    for kind, status in (("text/plain", 415), ("multipart/form-data", 400)):
        headers = {"Content-Type": kind, "Content-Length": "100000", "Expect": "100-continue"}
        async with begun(api, session | headers) as refused, asyncio.timeout(5):
            answer = await refused.read()
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
