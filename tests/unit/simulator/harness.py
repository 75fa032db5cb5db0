"""Ways to talk to a simulator: whole requests over one client, or bytes over a socket."""

from __future__ import annotations

import asyncio
import random
import socket
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from pydantic import SecretStr

from service.simulator.app import create_app
from service.simulator.settings import AppEntry, SimulatorSettings

with warnings.catch_warnings():
    # It imports the legacy half of websockets, which warns; nothing here uses it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from sanic_testing.reusable import ReusableClient  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from httpx import Headers

    from service.simulator.context import SimulatorApp

PATH = "/sns/jscode2session"
APPID = "wx00000000000000a1"
SECRET = "0123456789abcdef0123456789abcdef"
SISTER_APPID = "wx00000000000000a2"
UNBOUND_APPID = "wx00000000000000b1"

START = 1_800_000_000.0


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def seeded(seed: int = 7) -> random.Random:
    return random.Random(seed)  # noqa: S311 - tests want the same draws every time


def make_settings(**overrides: Any) -> SimulatorSettings:
    """Two apps of one open-platform account, and one that is bound to none."""
    secret = SecretStr(SECRET)
    apps = (
        AppEntry(appid=APPID, secret=secret, platform="acme"),
        AppEntry(appid=SISTER_APPID, secret=secret, platform="acme"),
        AppEntry(appid=UNBOUND_APPID, secret=secret),
    )
    return SimulatorSettings(**{"apps": apps, **overrides})


def target(**overrides: str | None) -> str:
    """Return the exchange's path and query; None leaves a parameter out."""
    query = {
        "appid": APPID,
        "secret": SECRET,
        "js_code": "0unknown",
        "grant_type": "authorization_code",
        **overrides,
    }
    return f"{PATH}?{urlencode({key: value for key, value in query.items() if value is not None})}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    body: bytes
    downloaded: int
    """Bytes of the body before it was unpacked."""

    def json(self) -> Any:
        return orjson.loads(self.body)


class Client:
    """A simulator, served by sanic-testing's client, and what tests ask of it."""

    def __init__(self, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        self.app = create_app(settings=make_settings(**settings), clock=clock, rng=seeded())
        # Rewriting the framework's methods takes longer than most tests do.
        self.app.config.TOUCHUP = False
        # The client would draw a port that may be taken: bind a free one instead.
        sock = socket.create_server(("127.0.0.1", 0))
        self.loop = asyncio.new_event_loop()
        self._http = ReusableClient(
            self.app,
            host="127.0.0.1",
            port=sock.getsockname()[1],
            loop=self.loop,
            server_kwargs={"sock": sock},
        )
        self._http.run()

    def close(self) -> None:
        self._http.stop()
        self.loop.close()

    def call(self, method: str, uri: str, **kwargs: Any) -> Answer:
        _, response = getattr(self._http, method)(uri, gather_request=False, **kwargs)
        return Answer(
            response.status_code,
            response.headers,
            response.content,
            response.num_bytes_downloaded,
        )

    def get(self, uri: str, **kwargs: Any) -> Answer:
        return self.call("get", uri, **kwargs)

    def delete(self, uri: str) -> Answer:
        return self.call("delete", uri)

    def post(self, uri: str, body: Any) -> Answer:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.call("post", uri, content=content)

    def log_in(self, user: str = "alice", appid: str = APPID) -> str:
        code = self.post("/sim/login", {"user": user, "appid": appid}).json()["code"]
        assert isinstance(code, str)
        return code

    def exchange(self, code: str | None = None, **overrides: str | None) -> Answer:
        return self.get(target(**{"js_code": code or self.log_in(), **overrides}))

    def errcode(self, code: str | None = None, **overrides: str | None) -> int:
        """Exchange and return the errcode; 0 for success."""
        errcode = self.exchange(code, **overrides).json().get("errcode", 0)
        assert isinstance(errcode, int)
        return errcode

    def fault(self, kind: str, **params: Any) -> None:
        assert self.post("/sim/faults", {"kind": kind, **params}).status == 200

    def active_faults(self) -> list[dict[str, Any]]:
        active = self.get("/sim/faults").json()["active"]
        assert isinstance(active, list)
        return active


@asynccontextmanager
async def serving(app: SimulatorApp) -> AsyncIterator[int]:
    """Serve in the test's own loop; yield the port."""
    sock = socket.create_server(("127.0.0.1", 0))
    server: Any = await app.create_server(sock=sock, return_asyncio_server=True)
    await server.startup()
    await server.before_start()
    await server.start_serving()
    await server.after_start()
    try:
        yield sock.getsockname()[1]
    finally:
        await server.before_stop()
        server.close()
        await server.wait_closed()
        await server.after_stop()


class Wire:
    """One bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, uri: str, *, method: str = "GET", host: str = "sim", body: bytes = b"") -> None:
        head = f"{method} {uri} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)

    async def receive(self) -> tuple[bytes, bytes]:
        """Return the head and the body of one answer that has a Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return head, await self.reader.readexactly(length)

    async def ask(self, uri: str, **kwargs: Any) -> tuple[bytes, Any]:
        """Send, and return the head and the JSON that came back."""
        self.send(uri, **kwargs)
        head, body = await self.receive()
        return head, orjson.loads(body)

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield wire
    finally:
        await wire.close()
