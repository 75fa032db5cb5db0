"""FastAPI on uvicorn with uvloop and httptools; the session is a dependency of the route."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import orjson
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel
from redis import asyncio as redis

from tests.bench.peers import shared
from tests.bench.peers.accounts import Accounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis = redis.from_url(shared.REDIS_URL)
    app.state.accounts = Accounts(shared.DATABASE)
    await app.state.accounts.open()
    async with aiohttp.ClientSession() as http:
        app.state.http = http
        yield
    await app.state.accounts.close()
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


class LoginBody(BaseModel):
    code: str


async def current_session(
    request: Request, sessionid: Annotated[str | None, Header()] = None
) -> dict[str, Any]:
    raw = await request.app.state.redis.get(f"session:{sessionid}")
    if raw is None:
        raise HTTPException(status_code=401)
    session: dict[str, Any] = orjson.loads(raw)
    return session


@app.get("/verify")
async def verify(session: Annotated[dict[str, Any], Depends(current_session)]) -> Response:
    headers = {**shared.caller_headers(session), "Content-Type": shared.TEXT}
    return Response(headers=headers)


@app.post("/login")
async def log_in(body: LoginBody, request: Request) -> Response:
    identity = await shared.code2session(request.app.state.http, body.code)
    if identity is None:
        return Response(shared.FAILURE, 400, media_type=shared.JSON)
    return await open_session(request, identity, shared.anybody(identity))


@app.post("/accounts/login")
async def log_in_with_account(body: LoginBody, request: Request) -> Response:
    identity = await shared.code2session(request.app.state.http, body.code)
    if identity is None:
        return Response(shared.FAILURE, 400, media_type=shared.JSON)
    user = await request.app.state.accounts.find_or_create(identity)
    return await open_session(request, identity, user)


async def open_session(request: Request, identity: dict[str, Any], user: shared.User) -> Response:
    store = request.app.state.redis
    sessionid, session = shared.new_sessionid(), shared.new_session(identity, user)
    former = await store.get(f"user:{identity['openid']}")
    if former is not None:
        await store.delete(f"session:{former.decode()}")
    await store.set(f"session:{sessionid}", orjson.dumps(session), ex=shared.TTL)
    await store.set(f"user:{identity['openid']}", sessionid, ex=shared.TTL)
    answer = shared.login_answer(sessionid, user)
    return Response(answer, headers=shared.login_headers(), media_type=shared.JSON)


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=shared.PORT,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
    )
