"""`serve`: the service, and in development whatever it lacks."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from service.cli import signals
from service.cli.language import Text
from service.cli.refusal import Refused
from service.cli.start import read_settings
from service.config.settings import reload_settings
from service.metrics.folder import metrics_folder
from service.port_check import PortTaken, refuse_taken_port
from service.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings

log = logging.getLogger("service")

_CANNOT_START: Final = Text("MiniGate cannot start:", "MiniGate 无法启动：")


def serve() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises Refused."""
    settings, withdrawn = read_settings()
    reload = partial(reload_settings, withdrawn)
    try:
        refuse_taken_port(settings.address, settings.port, variable="PORT")
        for warning in settings.warnings:
            log.warning(warning)
        if settings.production:
            return _serve(settings, reload)
        return _serve_with_stand_ins(settings, reload)
    except PortTaken as fault:
        raise Refused(_CANNOT_START, str(fault)) from None


def _serve(settings: Settings, reload: Callable[[], Settings]) -> int:
    """On HOST:PORT with WEB_CONCURRENCY workers. `reload` reads the settings again, on SIGHUP."""
    log.info(
        "serving on %s:%d, %d workers, %s",
        settings.address,
        settings.port,
        settings.web_concurrency,
        "production" if settings.production else "development",
    )
    with metrics_folder() as folder:
        return asyncio.run(Supervisor(settings, reload=reload, metrics=folder).run())


def _serve_with_stand_ins(settings: Settings, reload: Callable[[], Settings]) -> int:
    # Packages of development only, which a deployment does not have.
    from service.dev import stack  # noqa: PLC0415

    signals.clean_up_when_interrupted()
    try:
        with stack.stand_ins(settings) as (complete, banner):
            stack.announce(complete, banner)
            filled = {name: value for name, value in complete if value != getattr(settings, name)}
            if filled:
                log.info("stand-ins for %s", ", ".join(name.upper() for name in filled))
            return _serve(complete, lambda: reload().model_copy(update=filled))
    except stack.StandInError as fault:
        raise Refused(_CANNOT_START, str(fault)) from None
