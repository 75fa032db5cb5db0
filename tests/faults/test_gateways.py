"""nginx, Caddy, Traefik and Envoy, set up by the samples, before a service and a back end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from service.wiring import migrate
from tests.support.balancers import needs
from tests.support.gateways import Caddy, Envoy, Gateway, Nginx, Traefik
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.running import Api, Simulator, running_service, running_simulator
from tests.support.settings import APPID, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from _pytest.mark import ParameterSet

pytestmark = [LINUX_ONLY, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

DEAD: Final = "B" * 22 + "." + "A" * 43
FORGED: Final = tuple(
    (f"X-{name}", "forged")
    for name in (
        "Auth-Request-User",
        "Auth-Openid",
        "Auth-Appid",
        "Auth-Unionid",
        "Session-Expires-In",
    )
)
QUESTIONS: Final = (
    ("GET", b""),
    ("HEAD", b""),
    ("POST", b'{"book":"17"}'),
    ("PUT", b"x" * 200_000),
    ("PATCH", b'{"book":"17"}'),
    ("DELETE", b""),
    ("OPTIONS", b""),
)
"""What the back end is asked: methods, and bodies."""


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body[:5]
    yield body[5:]


def _those(*gateways: type[Gateway]) -> list[ParameterSet]:
    return [pytest.param(one, marks=needs(one.program), id=one.program) for one in gateways]


@dataclass
class Shop:
    """The back end: what it was asked, with headers and body."""

    port: int = 0
    asked: list[tuple[web.Request, bytes]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request, await request.read()))
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str("hello")
            await socket.close()
            return socket
        return web.Response(text="sold")


@dataclass(frozen=True)
class Services:
    """What stands behind a gateway."""

    shop: Shop
    redis: RedisServer
    simulator: Simulator
    service: Api

    @property
    def short_answers(self) -> int:
        """How many checks have taken the short way so far."""
        return int(self.service.app.ctx.short_answers)


@dataclass(frozen=True)
class Deployment:
    """All of it; `api` asks the gateway, on one connection."""

    services: Services
    gateway: Gateway
    api: Api

    @property
    def shop(self) -> Shop:
        return self.services.shop

    async def login(self) -> tuple[str, str]:
        """The id of a new session, and the user's."""
        login = await self.api.login(await self.services.simulator.code())
        assert login.status == 200, login.body
        return login.data["sessionid"], login.data["user"]["id"]


@asynccontextmanager
async def running_shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", shop.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        shop.port = runner.addresses[0][1]
        yield shop
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    home = tmp_path_factory.mktemp("minigate")
    database = f"sqlite:///{home / 'users.db'}"
    await migrate(make_settings(database_url=database))
    async with RedisServer() as redis, running_shop() as shop, running_simulator() as simulator:
        settings = make_settings(
            redis_url=redis.url,
            database_url=database,
            avatar_store=f"file://{home / 'avatars'}",
            wechat_api_base=(simulator.url,),
            proxies_count=1,
            login_coalesce_ms=0,
            admin_tokens="alice:Vq8Zk2nT7cXw4pRj9sLb6mYd3gHf5aEu",
        )
        async with running_service(settings) as service:
            yield Services(shop, redis, simulator, service)


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=_those(Nginx, Caddy, Traefik, Envoy)
)
async def deployment(
    request: pytest.FixtureRequest, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    gateway: type[Gateway] = request.param
    home = tmp_path_factory.mktemp(gateway.program)
    async with (
        gateway(urlsplit(services.service.url).port or 0, services.shop.port, home) as before,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http,
    ):
        yield Deployment(services, before, Api(before.url, http))


@pytest.fixture(autouse=True)
def nothing_asked(services: Services) -> None:
    services.shop.asked.clear()


async def test_a_live_session_passes_and_the_back_end_knows_whose(deployment: Deployment) -> None:
    sessionid, user = await deployment.login()
    before = deployment.services.short_answers
    for method, body in QUESTIONS:
        headers = [("sessionid", sessionid), *FORGED, *FORGED]
        sent = _pieces(body) if method == "PUT" else body  # the one in chunks
        url = f"{deployment.api.url}/api/orders?a=%20b"
        async with deployment.api.http.request(method, url, headers=headers, data=sent) as answer:
            assert answer.status == 200, method
        [(request, came)] = deployment.shop.asked
        deployment.shop.asked.clear()
        assert (request.method, request.raw_path, came) == (method, "/api/orders?a=%20b", body)
        told = request.headers
        assert told.getall("X-Auth-Request-User") == [user]
        assert [one[:1] for one in told.getall("X-Auth-Openid")] == ["o"]
        assert told.getall("X-Auth-Appid") == [APPID]
        assert not any(told.getall("X-Auth-Unionid", []))  # nginx drops what is empty
        assert [int(one) > 7100 for one in told.getall("X-Session-Expires-In")] == [True]
        assert sessionid not in str(told)
    assert deployment.services.short_answers - before == len(QUESTIONS)


async def test_no_other_passes_and_each_hears_why(deployment: Deployment) -> None:
    """All on one connection, the living among the dead."""
    replaced, _ = await deployment.login()
    live, _ = await deployment.login()
    refused = {
        "session_missing": {},
        "session_expired": {"sessionid": DEAD},
        "session_replaced": {"sessionid": replaced},
        "session_malformed": {"sessionid": "nonsense"},
    }
    for error, headers in refused.items():
        for method, body in QUESTIONS:
            answer = await deployment.api.ask(method, "/api/", headers=headers, data=body)
            assert answer.status == 401, (error, method)
            assert f'error="{error}"' in answer.headers["WWW-Authenticate"]
            if deployment.gateway.passes_body_on and method != "HEAD":
                assert answer.body["error"] == error
        assert not deployment.shop.asked
        passing = await deployment.api.ask("GET", "/api/", headers={"sessionid": live})
        assert passing.status == 200
        deployment.shop.asked.clear()


async def test_what_is_for_back_ends_and_operators_stays_inside(deployment: Deployment) -> None:
    checks = ("/verify", "/verify/", "/verify/api/")
    operators = ("/internal/access-token", "/admin", "/admin/settings", "/version", "/readyz")
    for path in (*checks, *operators):
        assert (await deployment.api.ask("GET", path)).status == 404, path


async def test_without_redis_clients_are_told_to_wait_and_not_to_log_in(
    deployment: Deployment,
) -> None:
    sessionid, _ = await deployment.login()
    deployment.services.redis.kill()
    try:
        for method, body in QUESTIONS:
            headers = {"sessionid": sessionid}
            answer = await deployment.api.ask(method, "/api/", headers=headers, data=body)
            assert (answer.status, answer.headers.get("Retry-After")) == (503, "1"), method
        assert not deployment.shop.asked
    finally:
        await deployment.services.redis.start()
        await readiness(deployment.services.service)


async def readiness(service: Api) -> None:
    async with asyncio.timeout(15):
        while (await service.ask("GET", "/readyz")).status != 200:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("deployment", _those(Caddy, Traefik, Envoy), indirect=True)
async def test_a_websocket_passes_with_a_live_session_only(deployment: Deployment) -> None:
    """Nginx needs lines of its own for it, which the sample does without."""
    sessionid, user = await deployment.login()
    url = f"{deployment.api.url}/api/chat"
    async with deployment.api.http.ws_connect(url, headers={"sessionid": sessionid}) as socket:
        assert await socket.receive_str() == "hello"
    [(request, _)] = deployment.shop.asked
    deployment.shop.asked.clear()
    assert request.headers.getall("X-Auth-Request-User") == [user]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await deployment.api.http.ws_connect(url, headers={"sessionid": DEAD})
    assert refused.value.status == 401
    assert not deployment.shop.asked
