"""Builds every adapter, in order, and closes them in reverse. Nothing else does."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import SessionStoreUnavailable
from service.login import Login
from service.stores.redis_connection import OutageLog, connect
from service.stores.redis_login_codes import RedisLoginCodes
from service.stores.redis_sessions import RedisSessions
from service.stores.scripts import Scripts
from service.wechat.client import WeChatClient, open_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.ports import SessionStore
    from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes use."""

    login: Login
    sessions: SessionStore


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open what `settings` ask for, on the running event loop.

    Redis need not answer yet: requests get 503 and readiness is red until it does.
    """
    async with AsyncExitStack() as stack:
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        outage = OutageLog()
        # Two attempts' worth, like a read: a caller waits no longer for a write.
        scripts = Scripts(redis, budget=2 * settings.redis_timeout_ms / 1000, outage=outage)
        sessions = RedisSessions(redis, settings, scripts, outage)
        stack.push_async_callback(sessions.aclose)
        codes = RedisLoginCodes(redis, settings, scripts, outage)

        http = await stack.enter_async_context(open_http(settings))
        wechat = WeChatClient(
            http,
            bases=settings.wechat_api_base,
            timeout=settings.wechat_timeout_ms / 1000,
            concurrency=settings.wechat_concurrency,
        )
        login = Login(
            apps=settings.apps,
            devices=settings.device_classes,
            wechat=wechat,
            codes=codes,
            sessions=sessions,
        )
        stack.push_async_callback(login.aclose)

        with contextlib.suppress(SessionStoreUnavailable):
            await sessions.ping()
        yield Services(login=login, sessions=sessions)
