"""``python -m service.simulator``: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.die_with_parent import die_with_parent
from service.listener import BACKLOG
from service.simulator.app import create_app
from service.simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.simulator.context import SimulatorApp

_START_POLL_SECONDS = 0.001

logger = logging.getLogger("service.simulator")


def main() -> int:
    """Return the exit status: 0 after a signal, 2 for settings, 1 for a port in use."""
    parent = os.getppid()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logger.setLevel(logging.INFO)
    try:
        settings = SimulatorSettings()
    except (ValidationError, SettingsError) as error:
        _complain(error)
        return 2
    try:
        sock = _listen(settings.host, settings.port)
    except OSError as error:
        logger.error(  # noqa: TRY400 - a traceback would not help whoever chose the port
            "cannot listen on %s:%s: %s", settings.host, settings.port, error.strerror
        )
        return 1
    if not die_with_parent(parent, by=signal.SIGTERM):
        return 0
    app = create_app(settings=settings)
    app.after_server_start(_announce(sock, parent))
    app.run(sock=sock, single_process=True, motd=False, access_log=False, backlog=BACKLOG)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _complain(error: ValidationError | SettingsError) -> None:
    """Log every fault of the settings, and none of their values: some are secret."""
    if isinstance(error, SettingsError):
        logger.error("SIMULATOR_APPS is not the JSON it should be: %s", error)
        return
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        message = fault["msg"].removeprefix("Value error, ")
        field, *inside = (str(part) for part in fault["loc"] or ("",))
        variable = ".".join([f"SIMULATOR_{field.upper()}", *inside]) if field else ""
        logger.error("%s", ": ".join(part for part in (variable, message) if part))


def _announce(sock: socket.socket, parent: int) -> Callable[[SimulatorApp], None]:
    """Return a listener that says where the simulator is, once a signal can end it."""
    host, port = sock.getsockname()[:2]

    def announce(app: SimulatorApp) -> None:
        if not app.state.is_running:
            # The framework loses signals that come before it runs its loop for good.
            app.loop.call_later(_START_POLL_SECONDS, announce, app)
            return
        logger.info(
            "WeChat simulator on http://%s:%s for %s", host, port, ", ".join(app.ctx.world.apps)
        )
        if os.getppid() != parent:
            app.stop(terminate=False)

    return announce


if __name__ == "__main__":
    sys.exit(main())
