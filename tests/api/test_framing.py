"""What a proxy might read differently is refused, and ends the connection."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest

from service.http import request
from tests.api.malformed import CHUNKED, END, GET, HIDDEN, HIDING, MALFORMED, POST, WHOLE
from tests.support.process import LINUX_ONLY, ServiceProcess, complete_environment

if TYPE_CHECKING:
    from pathlib import Path

    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.figure import Figure
    from tests.support.running import Api


async def send(
    api: Api | ServiceProcess, raw: bytes, *, byte_by_byte: bool = False
) -> list[tuple[int, int]]:
    """What a connection answers to these bytes, status and code of each, until its end."""
    port = int(api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # A question that ends the connection: nothing is waited for in vain.
    raw += GET + b"\r\nConnection: close" + END
    for start in range(0, len(raw), 1 if byte_by_byte else len(raw)):
        writer.write(raw[start : start + 1] if byte_by_byte else raw)
        await asyncio.sleep(0)
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    heads = re.findall(rb"HTTP/1\.1 (\d+).*?\r\n\r\n(\{.*?\})(?=HTTP/1\.1 |$)", said, re.DOTALL)
    return [(int(status), orjson.loads(body)["code"]) for status, body in heads]


@pytest.mark.bar("D3")
@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_malformed_is_refused_and_ends_the_connection(api: Api, raw: bytes) -> None:
    assert await send(api, raw) == [(400, 40000)]
    assert await send(api, GET + END + raw) == [(200, 0), (400, 40000)]


@pytest.mark.bar("D3")
@LINUX_ONLY
async def test_so_it_is_where_the_server_has_rewritten_its_own_methods(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """Sanic's touchup, which the other tests of this folder do without."""
    environment = complete_environment(redis=redis_server.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        answers = {how: await send(service, raw) for how, raw in MALFORMED.items()}
        assert answers == {how: [(400, 40000)] for how in MALFORMED}
        assert await send(service, b"GET /nowhere HTTP/1.1\r\nHost: here" + END) == [
            (404, 40400),
            (200, 0),
        ]


@pytest.mark.bar("D3")
async def test_without_the_look_at_the_head_it_would(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_HEAD", re.compile(rb".*", re.DOTALL))
    taken = [how for how, raw in HIDING.items() if len(await send(api, raw)) > 1]
    assert len(taken) >= 5


@pytest.mark.parametrize(
    "head",
    [
        GET,
        b"GET /livez HTTP/1.0\r\nConnection: keep-alive",
        GET + b"\r\nEmpty:",
        GET + b"\r\nA:b\r\nB:  c\t\r\n!#$%&'*+-.^_`|~9: :",
        GET + b"\r\nNickname: \xe5\xb0\x8f\xe6\x98\x8e",
        GET + b"\r\n" + b"\r\n".join(b"A%d: %s" % (n, b"x" * 60) for n in range(99)),
    ],
)
async def test_whatever_has_one_meaning_is_served(api: Api, head: bytes) -> None:
    assert await send(api, head + END) == [(200, 0), (200, 0)]


WELL_FORMED = {
    "of a length": POST + b"\r\nContent-Length: 5" + END + b"hello",
    "of a length with zeros": POST + b"\r\nContent-Length: 005" + END + b"hello",
    "empty": POST + b"\r\nContent-Length: 0" + END,
    "one chunk": CHUNKED + WHOLE,
    "no chunk": CHUNKED + b"0\r\n\r\n",
    "many": CHUNKED + b"1\r\nh\r\n" * 500 + b"0\r\n\r\n",
    "capitals": CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
    "zeros": CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n",
    "an extension": CHUNKED + b'5;a;b=c;d="e f"\r\nhello\r\n0;z\r\n\r\n',
    "what looks like an end": CHUNKED + b"9\r\n\r\n0\r\n\r\nGE\r\n0\r\n\r\n",
    "what looks like a request": CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
}


@pytest.mark.bar("D3")
@pytest.mark.parametrize("raw", WELL_FORMED.values(), ids=WELL_FORMED.keys())
async def test_a_body_ends_where_it_says(api: Api, raw: bytes) -> None:
    assert await send(api, raw) == [(200, 0), (200, 0)]
    assert await send(api, raw * 3) == [(200, 0)] * 4
    assert await send(api, raw, byte_by_byte=True) == [(200, 0), (200, 0)]


@pytest.mark.bar("D6")
async def test_a_length_is_judged_before_the_body_is_asked_for(api: Api) -> None:
    expecting = POST + b"\r\nExpect: 100-continue\r\nContent-Length: "
    assert await _said(api, expecting + b"5" + END, b"hello") == [100, 200, 200]
    assert await _said(api, expecting + b"%d" % 20_000 + END) == [413]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /nowhere HTTP/1.1\r\nHost: here",
        b"DELETE /login HTTP/1.1\r\nHost: here",
        b"POST /me/avatar HTTP/1.1\r\nHost: here",
    ],
)
async def test_a_body_that_nobody_wants_is_not_asked_for(api: Api, head: bytes) -> None:
    head += b"\r\nExpect: 100-continue\r\nContent-Length: 5" + END
    statuses = await _said(api, head)
    assert len(statuses) == 1
    assert statuses[0] in {401, 404, 405}


async def test_whoever_expects_something_else_is_told_so(api: Api) -> None:
    head = POST + b"\r\nExpect: 200-ok\r\nContent-Length: 5" + END
    assert await _said(api, head) == [417]


async def test_before_http_1_1_nobody_expects_anything(api: Api) -> None:
    head = POST.replace(b"HTTP/1.1", b"HTTP/1.0")
    head += b"\r\nExpect: 100-continue\r\nContent-Length: 5" + END
    assert await _said(api, head + b"hello") == [200]


async def _said(api: Api, head: bytes, body: bytes = b"") -> list[int]:
    """The statuses of all that is answered, where a body is sent only when asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(head)
    said = await reader.readuntil(b"\r\n\r\n")
    if said.startswith(b"HTTP/1.1 100 "):
        writer.write(body + GET + b"\r\nConnection: close" + END)
    said += await reader.read()
    writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", said)]


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


LARGE = b"x" * (16 * 1024 + 1)


@pytest.mark.bar("D6")
@pytest.mark.parametrize(
    "raw",
    [
        POST + b"\r\nContent-Length: %d" % len(LARGE) + END,
        POST + b"\r\nContent-Length: 99999999999" + END,
        CHUNKED + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 17,
    ],
    ids=["by a length", "by a huge one", "by chunks"],
)
async def test_what_is_larger_than_a_body_may_be_is_refused_before_it_is_read(
    api: Api, raw: bytes
) -> None:
    """Nobody sends the rest: an answer that waited for it would not come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(raw)
    said = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            said = await reader.readuntil(END)
    writer.transport.abort()
    assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.bar("D4")
async def test_two_hundred_floods_of_headers_at_once_are_refused_and_cut(
    api: Api, figure: Figure
) -> None:
    floods = [
        GET + b"\r\nA: " + b"x" * 9000 + END,
        GET + b"\r\n" + b"\r\n".join(b"A%d: b" % number for number in range(700)) + END,
        GET + b"\r\n" + b"\r\n".join(b"A%d: b" % number for number in range(100)) + END,
    ]

    async def statuses(raw: bytes) -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
        writer.write(raw)
        said = b"not cut in time"
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                said = await reader.read()
        writer.transport.abort()
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", said)]

    seen = await asyncio.gather(*(statuses(floods[number % 3]) for number in range(200)))
    figure(f"{len(seen)} floods: {sorted({one for each in seen for one in each})}, and cut")
    assert all(len(each) == 1 and each[0] in {400, 413, 431} for each in seen)
    enough = GET + b"\r\n" + b"\r\n".join(b"A%d: b" % number for number in range(99)) + END
    assert await send(api, enough) == [(200, 0), (200, 0)]


@pytest.mark.bar("D5")
@pytest.mark.parametrize(
    "header", [b"sessionid: %b", b"X-Session-Id: %b", b"Authorization: Bearer %b"]
)
@pytest.mark.parametrize(
    "odd",
    [
        b"CANARY\xff\xfe",
        b"CANARY\0",
        b"CANARY\r\nforged: yes",
        b"CANARY\rforged",
        b"CANARY\nforged",
        b"CANARY" + b"A" * 7000,
        "CANARY登录".encode(),
        b"CANARY' OR 1=1; --",
        b"CANARY\x1b[2J",
        b"CANARY%s%n%x",
    ],
)
async def test_odd_bytes_for_an_id_are_refused_and_never_logged(
    api: Api, caplog: pytest.LogCaptureFixture, header: bytes, odd: bytes
) -> None:
    ask = b"GET /session HTTP/1.1\r\nHost: here\r\nConnection: close\r\n" + header % odd + END
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(ask)
    said = await reader.read()
    writer.close()
    assert re.match(rb"HTTP/1\.1 (400|401) ", said), said
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"CANARY" not in said
    assert "CANARY" not in caplog.text
