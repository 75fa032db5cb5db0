"""`python -m service`: the service, and in development whatever it lacks."""

from __future__ import annotations

import logging
import sys
from functools import partial

from sanic import Sanic
from sanic.worker.loader import AppLoader

from service import watchdog
from service.app import create_app
from service.listening import PortTaken, refuse_taken_port
from service.settings import ConfigError, Settings, load_settings

log = logging.getLogger("service")

_EXIT_MISCONFIGURED = 2
_CANNOT_START = "MiniGate cannot start:"


def main() -> None:
    """Serve until told to stop; exit 2 when the settings do not allow it."""
    try:
        settings = load_settings()
        refuse_taken_port(settings.host, settings.port, variable="PORT")
    except ConfigError as fault:
        sys.exit(_refusal("The settings cannot be used:", str(fault)))
    except PortTaken as fault:
        sys.exit(_refusal(_CANNOT_START, str(fault)))
    if settings.missing:
        _serve_with_stand_ins(settings)
    else:
        serve(settings)


def serve(settings: Settings) -> None:
    """Serve on HOST:PORT with WEB_CONCURRENCY workers until SIGTERM or SIGINT."""
    loader = AppLoader(factory=partial(create_app, settings=settings))
    app = loader.load()
    app.prepare(
        host=settings.host,
        port=settings.port,
        workers=settings.web_concurrency,
        access_log=False,
        motd=False,
    )
    log.info(
        "serving on %s:%d, %d workers, %s",
        settings.host,
        settings.port,
        settings.web_concurrency,
        "production" if settings.production else "development",
    )
    watchdog.deafen_helpers()
    Sanic.serve(primary=app, app_loader=loader)


def _serve_with_stand_ins(settings: Settings) -> None:
    # Packages of development only, which a deployment does not have.
    from service import devserver  # noqa: PLC0415

    try:
        with devserver.stand_ins(settings) as (complete, banner):
            devserver.announce(complete, banner)
            serve(complete)
    except (devserver.StandInError, PortTaken) as fault:
        sys.exit(_refusal(_CANNOT_START, str(fault)))


def _refusal(headline: str, text: str) -> int:
    lines = "".join(f"\n  {line}" for line in text.splitlines())
    print(f"{headline}{lines}", file=sys.stderr)  # noqa: T201 # before there is a log
    return _EXIT_MISCONFIGURED


if __name__ == "__main__":
    main()
