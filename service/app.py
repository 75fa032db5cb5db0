"""The table of contents: everything that the service is made of, in one factory."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import orjson
from sanic import Sanic
from sanic.config import Config
from sanic.exceptions import SanicException

from service import logs, tracing
from service.config.settings import load_settings
from service.core.errors import ServiceError, SessionError
from service.core.throttled_log import ThrottledLog
from service.descriptors import room_for_clients
from service.http import middleware
from service.http.connections import Connections
from service.http.context import App, AppContext
from service.http.request import AppRequest
from service.http.router import AppRouter
from service.http.routes.admin import admin
from service.http.routes.admin_page import admin_page
from service.http.routes.auth import auth
from service.http.routes.decrypt import decrypt
from service.http.routes.demo import demo
from service.http.routes.health import health
from service.http.routes.internal import internal
from service.http.routes.metrics import metrics
from service.http.routes.uploads import uploads
from service.http.routes.users import users
from service.http.routes.verify import verify
from service.http.routes.wafer import answer_dead_session, wafer
from service.http.tracing import begin_span, end_span
from service.wiring import open_services

if TYPE_CHECKING:
    from service.config.settings import Settings


_FIRST: Final = "1"


def create_app(
    *, settings: Settings | None = None, name: str = "minigate", worker: str = ""
) -> App:
    """Put the service together without touching the network.

    `settings` are read from the environment when not given. `worker`: what its log lines call
    it; the first one says at its start what it has found.
    """
    settings = settings or load_settings()
    logs.configure(settings, worker=worker)
    app: App = Sanic(
        name,
        config=_server_config(),
        ctx=AppContext(
            settings=settings,
            started_at=int(time.time()),
            stopping=False,
            wrong_tokens=ThrottledLog("operators"),
            short_answers=0,
            worker=worker,
        ),
        router=AppRouter(),
        request_class=AppRequest,  # type: ignore[arg-type] # Sanic's hint is for an app without types
        dumps=orjson.dumps,
        loads=orjson.loads,
        configure_logging=False,
    )

    app.before_server_start(_open)
    app.before_server_stop(_be_busy)
    app.after_server_stop(_close)

    if settings.tracing:
        app.register_middleware(begin_span, "request")
        app.register_middleware(end_span, "response")
    if settings.access_log:
        app.register_middleware(middleware.start_timing, "request")
        app.register_middleware(middleware.log_access, "response")
    app.register_middleware(middleware.authenticate, "request")
    app.error_handler.add(ServiceError, middleware.answer_service_error)
    app.error_handler.add(SanicException, middleware.answer_framework_error)
    app.error_handler.add(Exception, middleware.answer_any_error)

    app.blueprint(auth)
    app.blueprint(users)
    app.blueprint(decrypt)
    app.blueprint(uploads)
    app.blueprint(verify)
    app.blueprint(internal)
    app.blueprint(health)
    app.blueprint(metrics)
    if settings.admin_tokens:
        app.blueprint(admin)
        app.blueprint(admin_page)
    if settings.demo:
        app.blueprint(demo)
    if settings.wafer_compat:
        app.blueprint(wafer)
        app.error_handler.add(SessionError, answer_dead_session)
    return app


def _server_config() -> Config:
    """Sanic's own knobs; a stray SANIC_* variable changes none of them."""
    config = Config(env_prefix=None)
    config.update(
        {
            "AUTO_EXTEND": False,
            "FALLBACK_ERROR_FORMAT": "json",
            "MOTD": False,
            "REQUEST_MAX_SIZE": 16 * 1024,
            # How long a request may take to come: http/protocol.py.
            "RESPONSE_TIMEOUT": 10,
            "KEEP_ALIVE_TIMEOUT": 75,  # above the idle time-outs of common balancers
        }
    )
    return config


async def _open(app: App) -> None:
    settings = app.ctx.settings
    room = room_for_clients(
        pools=settings.redis_max_connections
        + settings.database_connections
        + settings.wechat_concurrency
    )
    app.ctx.stack = AsyncExitStack()
    if settings.tracing:
        tracing.start()
        app.ctx.stack.push_async_callback(tracing.stop)
    app.ctx.services = await app.ctx.stack.enter_async_context(
        open_services(settings, room=room, summarise=app.ctx.worker == _FIRST)
    )
    app.ctx.connections = Connections(room)
    app.ctx.connections.start()
    app.ctx.stack.callback(app.ctx.connections.stop)


async def _be_busy(app: App) -> None:
    app.ctx.stopping = True
    app.ctx.services.pictures.stop()


async def _close(app: App) -> None:
    await app.ctx.stack.aclose()
