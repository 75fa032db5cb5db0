"""Sanic with redis-py as the tutorials have it: a GET per request; a login reads, deletes, writes.

Two logins of one user at a time leave two sessions, and a crash between the
writes leaves one that nobody can find: what it measures is speed.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
from redis import asyncio as redis
from sanic import Request, Sanic
from sanic.response import HTTPResponse

from tests.bench.peers import shared

app: Sanic[Any, Any] = Sanic("plain", configure_logging=False)


@app.before_server_start
async def open_clients(app: Sanic[Any, Any]) -> None:
    app.ctx.http = aiohttp.ClientSession()
    app.ctx.redis = redis.from_url(shared.REDIS_URL)


@app.on_request
async def guard(request: Request) -> HTTPResponse | None:
    if request.path == "/login":
        return None
    sessionid = request.headers.get("sessionid", "")
    raw = await request.app.ctx.redis.get(f"session:{sessionid}")
    if raw is None:
        return HTTPResponse(shared.REFUSAL, 401, content_type=shared.JSON)
    request.ctx.session = orjson.loads(raw)
    return None


@app.get("/verify")
async def verify(request: Request) -> HTTPResponse:
    return HTTPResponse(b"", 200, shared.caller_headers(request.ctx.session), shared.TEXT)


@app.post("/login")
async def log_in(request: Request) -> HTTPResponse:
    store = request.app.ctx.redis
    identity = await shared.code2session(request.app.ctx.http, request.json["code"])
    if identity is None:
        return HTTPResponse(shared.FAILURE, 400, content_type=shared.JSON)
    user = shared.anybody(identity)
    sessionid, session = shared.new_sessionid(), shared.new_session(identity, user)
    former = await store.get(f"user:{identity['openid']}")
    if former is not None:
        await store.delete(f"session:{former.decode()}")
    await store.set(f"session:{sessionid}", orjson.dumps(session), ex=shared.TTL)
    await store.set(f"user:{identity['openid']}", sessionid, ex=shared.TTL)
    answer = shared.login_answer(sessionid, user)
    return HTTPResponse(answer, 200, shared.login_headers(), shared.JSON)


if __name__ == "__main__":
    app.run("127.0.0.1", shared.PORT, single_process=True, access_log=False, motd=False)
