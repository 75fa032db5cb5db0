"""The WeChat simulator, with one route more: login codes by the thousand.

Handing codes out one by one would take longer than the logins that are measured.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson
from sanic.response import HTTPResponse

from service.listener import BACKLOG
from service.simulator.app import create_app
from service.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from service.simulator.context import SimulatorApp, SimulatorRequest


async def give_codes(request: SimulatorRequest) -> HTTPResponse:
    """A code for each user from `first` on, `count` of them, by the numbers in their names."""
    world = request.app.ctx.world
    first, count = int(request.args.get("first")), int(request.args.get("count"))
    appid = next(iter(world.apps))
    codes = [world.log_in(user=f"user{first + n}", appid=appid) for n in range(count)]
    return HTTPResponse(orjson.dumps(codes), content_type="application/json")


def main() -> None:
    """Serve on SIMULATOR_PORT."""
    settings = SimulatorSettings()
    app: SimulatorApp = create_app(settings=settings)
    app.add_route(give_codes, "/bench/codes", methods=("GET",), error_format="json")
    app.run(
        settings.host,
        settings.port,
        single_process=True,
        motd=False,
        access_log=False,
        backlog=BACKLOG,
    )


if __name__ == "__main__":
    os.environ.pop("ENVIRONMENT", None)
    main()
