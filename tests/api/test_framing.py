"""What a proxy might read differently is refused, and ends the connection."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import orjson
import pytest

from service.http import request
from tests.support.process import LINUX_ONLY, ServiceProcess, complete_environment

if TYPE_CHECKING:
    from pathlib import Path

    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Api

GET = b"GET /livez HTTP/1.1\r\nHost: here"
POST = b"POST /logout HTTP/1.1\r\nHost: here"
HIDDEN = GET + b"\r\n\r\n"
END = b"\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)


async def send(api: Api | ServiceProcess, raw: bytes) -> list[tuple[int, int]]:
    """What a connection answers to these bytes, status and code of each, until its end."""
    port = int(api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # A question that ends the connection: nothing is waited for in vain.
    writer.write(raw + GET + b"\r\nConnection: close" + END)
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    heads = re.findall(rb"HTTP/1\.1 (\d+).*?\r\n\r\n(\{.*?\})(?=HTTP/1\.1 |$)", said, re.DOTALL)
    return [(int(status), orjson.loads(body)["code"]) for status, body in heads]


HIDING = {
    "space before the colon": POST + b"\r\nContent-Length : %d" % len(HIDDEN) + END + HIDDEN,
    "tab before the colon": POST + b"\r\nContent-Length\t: %d" % len(HIDDEN) + END + HIDDEN,
    "folded": POST + b"\r\nA: b\r\n Content-Length: %d" % len(HIDDEN) + END + HIDDEN,
    "bare LF": POST + b"\r\nA: b\nContent-Length: %d" % len(HIDDEN) + END + HIDDEN,
    "bare CR": POST + b"\r\nA: b\rContent-Length: %d" % len(HIDDEN) + END + HIDDEN,
    "Arabic digits": POST + "\r\nContent-Length: ٣٥".encode() + END + HIDDEN,
    "wide digits": POST + "\r\nContent-Length: ３５".encode() + END + HIDDEN,
    "no-break space": POST + b"\r\nContent-Length: \xc2\xa0%d" % len(HIDDEN) + END + HIDDEN,
    "vertical tab": POST + b"\r\ncontent-length:\x0b%d" % len(HIDDEN) + END + HIDDEN,
    "chunked, with a tab": POST + b"\r\nTransfer-Encoding: \x0bchunked" + END + CHUNK,
    "chunked, with a space": POST + b"\r\nTransfer-Encoding: \xc2\xa0chunked" + END + CHUNK,
    "NUL": POST + b"\r\nContent-Length\0: %d" % len(HIDDEN) + END + HIDDEN,
    "quoted": POST + b'\r\n"Content-Length": %d' % len(HIDDEN) + END + HIDDEN,
}


@pytest.mark.parametrize("raw", HIDING.values(), ids=HIDING.keys())
async def test_no_request_hides_in_the_body_of_another(api: Api, raw: bytes) -> None:
    assert await send(api, raw) == [(400, 40000)]


@LINUX_ONLY
async def test_nor_does_one_where_the_server_has_rewritten_its_own_methods(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """Sanic's touchup, which the other tests of this folder do without."""
    environment = complete_environment(redis=redis_server.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        answers = [await send(service, raw) for raw in HIDING.values()]
        assert answers == [[(400, 40000)]] * len(HIDING)
        assert await send(service, b"GET /nowhere HTTP/1.1\r\nHost: here" + END) == [
            (404, 40400),
            (200, 0),
        ]


async def test_without_the_look_at_the_head_it_would(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_HEAD", re.compile(rb".*", re.DOTALL))
    taken = [how for how, raw in HIDING.items() if len(await send(api, raw)) > 1]
    assert len(taken) >= 5


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1",
        GET + b"\r\nHost: there",
        GET + b"\r\n: nameless",
        GET + b"\r\nno colon",
        GET + b"\r\nA: b\0c",
        POST + b"\r\nContent-Length: 5\r\nContent-Length: 5",
        POST + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        POST + b"\r\nTransfer-Encoding: gzip, chunked",
    ],
)
async def test_a_malformed_head_is_refused_and_ends_the_connection(api: Api, head: bytes) -> None:
    assert await send(api, head + END) == [(400, 40000)]


@pytest.mark.parametrize(
    "head",
    [
        GET,
        b"GET /livez HTTP/1.0\r\nConnection: keep-alive",
        GET + b"\r\nEmpty:",
        GET + b"\r\nA:b\r\nB:  c\t\r\n!#$%&'*+-.^_`|~9: :",
        GET + b"\r\nNickname: \xe5\xb0\x8f\xe6\x98\x8e",
        GET + b"\r\n" + b"\r\n".join(b"A%d: %s" % (n, b"x" * 60) for n in range(100)),
    ],
)
async def test_whatever_has_one_meaning_is_served(api: Api, head: bytes) -> None:
    assert await send(api, head + END) == [(200, 0), (200, 0)]


@pytest.mark.parametrize(
    "url",
    [
        b"/a\nforged",
        b"/a\0b",
        b"/a\x1b[2J",
        b"/a?code=CANARY\x01",
        b"http://[CANARY",
        b"?code=CANARY",
    ],
)
async def test_an_address_that_is_none_is_answered_and_never_logged(
    api: Api, caplog: pytest.LogCaptureFixture, url: bytes
) -> None:
    assert await send(api, b"GET %b HTTP/1.1\r\nHost: here" % url + END) == [(400, 40000)]
    assert not [text for text in caplog.messages if "CANARY" in text or "forged" in text]
