"""Sanic and nothing else: the same bytes, unguarded; a login is one call to WeChat."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
from sanic import Request, Sanic
from sanic.response import HTTPResponse

from tests.bench.peers import shared

app: Sanic[Any, Any] = Sanic("bare", configure_logging=False)
_ANYBODY = {
    "user": "0123456789abcdef",
    "openid": "o0123456789abcdef0123456789a",
    "appid": shared.APPID,
    "unionid": "",
    "expires_at": time.time() + shared.TTL,
}


@app.before_server_start
async def open_http(app: Sanic[Any, Any]) -> None:
    app.ctx.http = aiohttp.ClientSession()


@app.get("/verify")
async def verify(_request: Request) -> HTTPResponse:
    return HTTPResponse(b"", 200, shared.caller_headers(_ANYBODY), shared.TEXT)


@app.post("/login")
async def log_in(request: Request) -> HTTPResponse:
    identity = await shared.code2session(request.app.ctx.http, request.json["code"])
    if identity is None:
        return HTTPResponse(shared.FAILURE, 400, content_type=shared.JSON)
    answer = shared.login_answer(shared.new_sessionid(), shared.anybody(identity))
    return HTTPResponse(answer, 200, shared.login_headers(), shared.JSON)


if __name__ == "__main__":
    app.run("127.0.0.1", shared.PORT, single_process=True, access_log=False, motd=False)
