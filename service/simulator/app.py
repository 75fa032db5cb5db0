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

from service.simulator import control, sns
from service.simulator.bodies import BadBodyError
from service.simulator.context import SimulatorApp, SimulatorContext, SimulatorRequest
from service.simulator.faults.board import FaultBoard
from service.simulator.jscode2session import PATH as JSCODE2SESSION
from service.simulator.stats import Stats
from service.simulator.world import App, World

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from sanic.response import HTTPResponse

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
    world = World(
        apps=[
            App(entry.appid, entry.secret.get_secret_value(), entry.platform)
            for entry in settings.apps
        ],
        code_life=settings.code_life_seconds,
        session_key_interval=settings.session_key_interval_seconds,
        session_key_rotation=settings.session_key_rotation,
        minute_quota=settings.minute_quota,
        clock=clock,
        rng=rng,
    )
    app = Sanic(
        f"simulator-{next(_numbers)}",
        config=_config(),
        ctx=SimulatorContext(
            world=world, board=FaultBoard(rng=world.rng), stats=Stats(endpoints=control.ENDPOINTS)
        ),
        dumps=orjson.dumps,
        loads=orjson.loads,
        configure_logging=False,
    )

    app.add_route(sns.jscode2session, JSCODE2SESSION, methods=["GET", "POST"])

    app.add_route(control.index, "/", methods=["GET"])
    app.add_route(control.log_in, "/sim/login", methods=["POST"])
    app.add_route(control.add_fault, "/sim/faults", methods=["POST"])
    app.add_route(control.list_faults, "/sim/faults", methods=["GET"])
    app.add_route(control.clear_faults, "/sim/faults", methods=["DELETE"])
    app.add_route(control.show_stats, "/sim/stats", methods=["GET"])
    app.add_route(control.reset_stats, "/sim/stats", methods=["DELETE"])

    app.error_handler.add(BadBodyError, _bad_body)
    app.error_handler.add(SanicException, _refused)
    app.error_handler.add(Exception, _broken)
    return app


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
