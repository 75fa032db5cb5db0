"""aiohttp with aiohttp-session and its RedisStorage, on uvloop. The session id is a cookie."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop
from aiohttp import web
from aiohttp_session import get_session, new_session, setup
from aiohttp_session.redis_storage import RedisStorage
from redis import asyncio as redis

from tests.bench.peers import shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STORE: Final = web.AppKey("STORE", redis.Redis)
HTTP: Final = web.AppKey("HTTP", aiohttp.ClientSession)


async def verify(request: web.Request) -> web.Response:
    session = await get_session(request)
    if session.empty:
        return web.Response(body=shared.REFUSAL, status=401, content_type=shared.JSON)
    headers = shared.caller_headers(dict(session))
    return web.Response(headers=headers, content_type=shared.TEXT)


async def log_in(request: web.Request) -> web.Response:
    store = request.app[STORE]
    identity = await shared.code2session(request.app[HTTP], (await request.json())["code"])
    if identity is None:
        return web.Response(body=shared.FAILURE, status=400, content_type=shared.JSON)
    former = await store.get(f"user:{identity['openid']}")
    if isinstance(former, bytes):
        await store.delete(f"AIOHTTP_SESSION_{former.decode()}")
    session = await new_session(request)
    sessionid = shared.new_sessionid()
    session.set_new_identity(sessionid)
    user = shared.anybody(identity)
    session.update(shared.new_session(identity, user))
    await store.set(f"user:{identity['openid']}", sessionid, ex=shared.TTL)
    answer = shared.login_answer(sessionid, user)
    return web.Response(body=answer, headers=shared.login_headers(), content_type=shared.JSON)


async def clients(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as http:
        app[HTTP] = http
        yield


async def make_app() -> web.Application:
    app = web.Application()
    store = redis.from_url(shared.REDIS_URL)
    app[STORE] = store
    setup(app, RedisStorage(store, max_age=shared.TTL))
    app.cleanup_ctx.append(clients)
    app.router.add_get("/verify", verify)
    app.router.add_post("/login", log_in)
    return app


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(make_app(), host="127.0.0.1", port=shared.PORT, access_log=None, print=None)
