"""The simulator's table of contents: every route, and what answers to errors."""

from __future__ import annotations

import itertools
import logging
import time
from typing import TYPE_CHECKING

import orjson
from sanic import Sanic
from sanic.config import Config
from sanic.exceptions import SanicException
from sanic.response import json

from service.simulator.context import SimulatorApp, SimulatorContext, SimulatorRequest
from service.simulator.control import cors, faults, handset, stats
from service.simulator.control.bodies import BadBodyError
from service.simulator.control.index import index
from service.simulator.control.redis import RedisPlug
from service.simulator.endpoints import ENDPOINTS
from service.simulator.faults.fault import ActiveFaults
from service.simulator.state.world import World
from service.simulator.stats import Stats

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from sanic.response import HTTPResponse

    from service.simulator.context import Handler
    from service.simulator.settings import SimulatorSettings

logger = logging.getLogger(__name__)

# Names of apps are global to the process, and tests make many simulators in one.
_numbers = itertools.count(1)


def create_app(
    *,
    settings: SimulatorSettings,
    clock: Callable[[], float] = time.time,
    rng: random.Random | None = None,
) -> SimulatorApp:
    """Return a simulator with accounts of its own. Opens nothing."""
    world = World(settings, clock=clock, rng=rng)
    app = Sanic(
        f"simulator-{next(_numbers)}",
        config=_config(),
        ctx=SimulatorContext(
            world=world,
            faults=ActiveFaults(rng=world.rng),
            stats=Stats(endpoints=ENDPOINTS),
        ),
        dumps=orjson.dumps,
        loads=orjson.loads,
        configure_logging=False,
    )

    for path, handler in ENDPOINTS.items():
        # A wrong method gets an errcode like any other mistake.
        _add_route(app, handler, path, "GET", "POST")
    _add_control(app, RedisPlug(settings.redis_pid))
    app.error_handler.add(BadBodyError, _bad_body)
    app.error_handler.add(SanicException, _refused)
    app.error_handler.add(Exception, _broken)
    return app


def _add_control(app: SimulatorApp, redis: RedisPlug) -> None:
    """Add the routes that no WeChat has, for tests and for pages that stand in for phones."""
    routes = (
        (handset.log_in, "/sim/login", "POST"),
        (handset.give_phone, "/sim/phone", "POST"),
        (handset.give_profile, "/sim/profile", "POST"),
        (handset.rotate_session_key, "/sim/session_key", "POST"),
        (faults.add_fault, "/sim/faults", "POST"),
        (faults.list_faults, "/sim/faults", "GET"),
        (faults.clear_faults, "/sim/faults", "DELETE"),
        (stats.show_stats, "/sim/stats", "GET"),
        (stats.reset_stats, "/sim/stats", "DELETE"),
        (redis.plug_or_unplug, "/sim/redis", "POST"),
        (redis.show, "/sim/redis", "GET"),
    )
    _add_route(app, index, "/", "GET")
    for handler, path, method in routes:
        _add_route(app, handler, path, method)
    for path in {path for _, path, _ in routes}:
        _add_route(app, cors.preflight, path, "OPTIONS", name=f"preflight{path}")
    app.register_middleware(cors.refuse_other_sites, "request")
    app.register_middleware(cors.allow_own_pages, "response")
    app.before_server_stop(lambda _: redis.restore())


def _add_route(
    app: SimulatorApp,
    handler: Handler,
    path: str,
    *methods: str,
    name: str | None = None,
) -> None:
    # Told no format of errors, the framework reads the handler's source to guess one.
    app.add_route(handler, path, methods=methods, name=name, error_format="json")


def _config() -> Config:
    config = Config(env_prefix=None)
    config.AUTO_EXTEND = False
    config.ACCESS_LOG = False
    config.MOTD = False
    config.REQUEST_MAX_SIZE = 65_536
    config.REQUEST_TIMEOUT = 30
    # Above the longest hang that can be asked for.
    config.RESPONSE_TIMEOUT = 330
    config.KEEP_ALIVE_TIMEOUT = 75
    # A hanging call is nobody's work in progress.
    config.GRACEFUL_SHUTDOWN_TIMEOUT = 0.2
    return config


async def _bad_body(_: SimulatorRequest, error: BadBodyError) -> HTTPResponse:
    return error.to_response()


async def _refused(_: SimulatorRequest, error: SanicException) -> HTTPResponse:
    return json(
        {"error": f"{error}; GET / says what there is"},
        status=error.status_code,
        headers=error.headers,
    )


async def _broken(_: SimulatorRequest, error: Exception) -> HTTPResponse:
    # Its text may quote a URL, and URLs here hold AppSecrets and codes.
    logger.error("simulator_bug", extra={"exception": type(error).__name__})
    return json({"error": "the simulator has a bug"}, status=500)
