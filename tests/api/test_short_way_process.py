"""The short way in a process, where Sanic has rewritten its own methods."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import orjson

from service.http.routes.verify import METHODS
from tests.api.verify_requests import request
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.workers import in_workers

if TYPE_CHECKING:
    from pathlib import Path

    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

TELLING: Final = """
from service.http.short_way import ShortWayProtocol
answer = ShortWayProtocol._answer
def tell(*given):
    found = answer(*given)
    print("short" if found else "not short", flush=True)
    return found
ShortWayProtocol._answer = tell
"""
PAUSE: Final = 0.05
"""Seconds in which half a request is read, mostly."""


async def test_its_bytes_are_those_of_the_ordinary_way(
    redis_server: EmbeddedRedis, simulator: Simulator, tmp_path: Path
) -> None:
    environment = complete_environment(
        redis=redis_server.url, wechat=simulator.url, PYTHONPATH=in_workers(tmp_path, TELLING)
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        async with await Connection.open(service.port) as connection:
            body = orjson.dumps({"code": await simulator.code()})
            login = await connection.ask("POST", "/login", body=body)
        asks = list(_asks(orjson.loads(login.body)["data"]["sessionid"]))
        whole = await asyncio.gather(*(said(service, ask) for ask in asks))
        await eventually(lambda: short(service) == len(asks), within=5, what="all were short")
        halves = ((ask[: len(ask) // 2], ask[len(ask) // 2 :]) for ask in asks)
        cut = await asyncio.gather(*(said(service, *pieces) for pieces in halves))
        assert short(service) < 2 * len(asks)
    assert cut == whole
    assert all(one.startswith(b"HTTP/1.1 200 OK\r\n") for one in whole)
    assert sum(one.count(b"HTTP/1.1 200 OK\r\n") for one in whole) > len(asks)


def short(service: ServiceProcess) -> int:
    """How many were answered the short way so far."""
    return service.output.split("\n").count("short")


def _asks(sessionid: str) -> list[bytes]:
    session = f"sessionid: {sessionid}"
    return [
        *(request(session, line=f"{method} /verify HTTP/1.1") for method in METHODS),
        request(session, line="GET /verify HTTP/1.0", host=None),
        request(session, "Connection: keep-alive", line="GET /verify HTTP/1.0"),
        request(session, "Connection: close"),
        request(session, "X-Request-ID: given", line="GET /verify/a//..?b HTTP/1.1"),
        request(f"Authorization: Bearer {sessionid}", "Content-Length: 0", "X-Nick: 小明"),
        request("Connection: Upgrade", f"X-Session-Id: {sessionid}", "Upgrade: websocket"),
    ]


async def said(service: ServiceProcess, *pieces: bytes) -> bytes:
    """All that comes back, and what the connection says to a last request if it stays."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    for number, piece in enumerate(pieces):
        if number:
            await asyncio.sleep(PAUSE)
        writer.write(piece)
    async with asyncio.timeout(20):
        answer = await reader.readuntil(b"\r\n\r\n")
        if b"\r\nconnection: keep-alive\r\n" in answer:
            writer.write(request("Connection: close", line="HEAD /livez HTTP/1.1"))
        answer += await reader.read()
    writer.close()
    answer = re.sub(rb"(?<=X-Session-Expires-In: )\d+", b"<n>", answer)
    return re.sub(rb"(?<=X-Request-ID: )[0-9a-f]{16}", b"<id>", answer)
