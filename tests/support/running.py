"""The service and the simulator on real sockets, in the test's own event loop."""

from __future__ import annotations

import itertools
import logging
import socket
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import aiohttp
from pydantic import SecretStr
from sanic import Sanic

from service.app import create_app
from service.http.protocol import AppProtocol
from service.listener import BACKLOG
from service.logs import Redact
from service.simulator.app import create_app as create_simulator
from service.simulator.settings import AppEntry, SimulatorSettings
from tests.support.settings import APP_SECRET, APPID

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator

    from service.config.settings import Settings

_numbers = itertools.count(1)


class Ask(TypedDict, total=False):
    """What a request may carry."""

    headers: dict[str, str] | list[tuple[str, str]]
    json: Any
    data: str | bytes | aiohttp.FormData
    params: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: Any
    body: Any
    """Parsed JSON; None when the body is empty."""

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def code(self) -> int:
        """The wire's code: 0 or an error's."""
        return int(self.body["code"])


@dataclass(frozen=True)
class Simulator:
    """A running WeChat stand-in and its switches."""

    url: str
    http: aiohttp.ClientSession

    async def code(self, user: str = "alice", **fields: object) -> str:
        """What `wx.login` gives on `user`'s phone."""
        return str((await self._post("/sim/login", {"user": user, **fields}))["code"])

    async def phone(self, user: str = "alice", **fields: object) -> dict[str, str]:
        """What the phone number button gives: code, encryptedData, iv."""
        return await self._post("/sim/phone", {"user": user, **fields})

    async def profile(self, user: str = "alice", **fields: object) -> dict[str, str]:
        """What `wx.getUserProfile` gives: encryptedData, iv, rawData, signature."""
        return await self._post("/sim/profile", {"user": user, **fields})

    async def rotate_key(self, user: str = "alice") -> None:
        """Change the user's session_key without a login, as a data pre-fetch does."""
        await self._post("/sim/session_key", {"user": user})

    async def calls(self, path: str) -> int:
        """How often an endpoint was called so far."""
        stats = await self.stats()
        return int(stats["calls"].get(path, {"total": 0})["total"])

    async def fault(self, kind: str, **params: object) -> None:
        await self._post("/sim/faults", {"kind": kind, **params})

    async def heal(self) -> None:
        async with self.http.delete(f"{self.url}/sim/faults") as reply:
            assert reply.status == 200

    async def exchanges(self) -> int:
        """How many codes were brought to WeChat so far."""
        return await self.calls("/sns/jscode2session")

    async def stats(self) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/sim/stats") as reply:
            answer: dict[str, Any] = await reply.json()
            return answer

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        async with self.http.post(self.url + path, json=body) as reply:
            answer: dict[str, Any] = await reply.json()
            assert reply.status == 200, answer
            return answer


@dataclass(frozen=True)
class Api:
    """A running service, asked over HTTP."""

    url: str
    http: aiohttp.ClientSession
    app: Any = None

    async def ask(self, method: str, path: str, **ask: Unpack[Ask]) -> Answer:
        async with self.http.request(method, self.url + path, **ask) as reply:
            raw = await reply.read()
            is_json = "json" in reply.headers.get("content-type", "")
            return Answer(
                reply.status, reply.headers, await reply.json() if raw and is_json else None
            )

    async def login(self, code: str, *, key: str | None = None, **fields: str) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.ask("POST", "/login", json={"code": code, **fields}, headers=headers)

    async def session(self, sessionid: str) -> Answer:
        return await self.ask("GET", "/session", headers={"sessionid": sessionid})

    async def logout(self, sessionid: str) -> Answer:
        return await self.ask("POST", "/logout", headers={"sessionid": sessionid})


@asynccontextmanager
async def running(
    app: Sanic[Any, Any], protocol: type[asyncio.Protocol] | None = None
) -> AsyncIterator[str]:
    """Serve `app` on a free port of loopback; yields its address.

    Sanic would rewrite its own methods first, which takes longer than most tests
    do. That is left to the tests that start processes.
    """
    app.config.TOUCHUP = False
    listener = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(
        sock=listener, protocol=protocol, return_asyncio_server=True, backlog=BACKLOG
    )
    assert server is not None
    await server.startup()
    await server.before_start()
    await server.start_serving()
    await server.after_start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.before_stop()
        server.close()
        await server.wait_closed()
        await server.after_stop()
        forget(app)


def forget(app: Sanic[Any, Any]) -> None:
    """Let go of an app that has ended: Sanic, its routers and the blueprints keep it for good.

    Half a million objects after some hundred tests, through which the garbage
    collector goes for a third of a second, in the midst of what is timed.
    """
    Sanic.unregister_app(app)
    for blueprint in app.blueprints.values():
        blueprint._apps.discard(app)
        blueprint.routes.clear()
    type(app.router).get.cache_clear()


@asynccontextmanager
async def running_simulator(**overrides: object) -> AsyncIterator[Simulator]:
    """A simulator with the test's app; session_keys change with every login unless overridden."""
    values: dict[str, object] = {
        "apps": (AppEntry(appid=APPID, secret=SecretStr(APP_SECRET)),),
        "session_key_interval_seconds": 0,
        "minute_quota": 1_000_000,
        **overrides,
    }
    simulator = create_simulator(settings=SimulatorSettings(**values))  # type: ignore[arg-type] # pydantic checks them
    async with running(simulator) as url, aiohttp.ClientSession() as http:
        yield Simulator(url, http)


@asynccontextmanager
async def running_service(
    settings: Settings, protocol: type[AppProtocol] = AppProtocol
) -> AsyncIterator[Api]:
    """The whole service; `protocol`: its connections, where they are to be others."""
    with _own_log():
        app = create_app(settings=settings, name=f"minigate-{next(_numbers)}")
        async with running(app, protocol) as url, aiohttp.ClientSession() as http:
            yield Api(url, http, app)


@contextmanager
def _own_log() -> Iterator[None]:
    """Take down a log that is set up meanwhile: its filter rewrites what later tests look at."""
    root = logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        root.setLevel(level)
        logging.captureWarnings(False)
        for handler in root.handlers[:]:
            if any(isinstance(one, Redact) for one in handler.filters):
                root.removeHandler(handler)
