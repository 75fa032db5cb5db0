"""`python -m service`: the service, and in development whatever it lacks.

What takes long to import is imported where it is needed: who has made a mistake
in the settings is told at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

_INTERRUPTIBLE = (
    __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
"""Whether Ctrl-C is ours to heed: not for whoever was started to ignore it."""
if os.getpid() == 1:
    # For the first process of a container the kernel drops a signal that it has no handler for.
    for _number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(_number, lambda number, _: os._exit(128 + number))
elif _INTERRUPTIBLE:
    # A KeyboardInterrupt in the midst of C code that an import runs would be printed and lost.
    # So Ctrl-C ends the process, for as long as there is nothing to clean up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from service import logs  # noqa: E402
from service.config.settings import (  # noqa: E402
    ConfigError,
    Settings,
    hand_on_keys_of_storage,
    load_settings,
    reload_settings,
    withdraw_from_environment,
)
from service.port_check import PortTaken, refuse_taken_port  # noqa: E402
from service.private_files import make_new_files_private  # noqa: E402
from service.supervisor import Supervisor  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("service")

_EXIT_MISCONFIGURED = 2
_EXIT_INTERRUPTED = 130  # as a shell says it: 128 and the signal's number
_CANNOT_START = "MiniGate cannot start:"


def main(arguments: list[str]) -> None:
    """Serve, or do what the arguments say; exit 2 when the settings do not allow it.

    `migrate` brings the user database up to date and puts phone numbers under
    the newest secret key. `migrate --check` says whether that is due, and exits 1
    if it is; `migrate --sql` prints what it would do.
    """
    if not arguments:
        _pass_over_signals()
    try:
        settings = load_settings()
        withdrawn = withdraw_from_environment()
        make_new_files_private()
        logs.configure(settings)
        hand_on_keys_of_storage()
        if arguments[:1] == ["migrate"] and arguments[1:] in ([], ["--check"], ["--sql"]):
            sys.exit(_migrate(settings, *arguments[1:]))
        if arguments:
            sys.exit(_refusal("usage:", "python -m service [migrate [--check | --sql]]"))
        refuse_taken_port(settings.address, settings.port, variable="PORT")
    except ConfigError as fault:
        sys.exit(_refusal("The settings cannot be used:", str(fault)))
    except PortTaken as fault:
        sys.exit(_refusal(_CANNOT_START, str(fault)))
    for warning in settings.warnings:
        log.warning(warning)
    reload = partial(reload_settings, withdrawn)
    try:
        if settings.production:
            code = serve(settings, reload)
        else:
            code = _serve_with_stand_ins(settings, reload)
    except PortTaken as fault:
        sys.exit(_refusal(_CANNOT_START, str(fault)))
    sys.exit(code)


def serve(settings: Settings, reload: Callable[[], Settings]) -> int:
    """Serve on HOST:PORT with WEB_CONCURRENCY workers until SIGTERM or SIGINT.

    Returns the exit code. `reload` reads the settings again, on SIGHUP.
    """
    log.info(
        "serving on %s:%d, %d workers, %s",
        settings.address,
        settings.port,
        settings.web_concurrency,
        "production" if settings.production else "development",
    )
    return asyncio.run(Supervisor(settings, reload=reload).run())


def _serve_with_stand_ins(settings: Settings, reload: Callable[[], Settings]) -> int:
    # Packages of development only, which a deployment does not have.
    from service.dev import stack  # noqa: PLC0415

    _clean_up_when_interrupted()
    try:
        with stack.stand_ins(settings) as (complete, banner):
            stack.announce(complete, banner)
            filled = {name: value for name, value in complete if value != getattr(settings, name)}
            return serve(complete, lambda: reload().model_copy(update=filled))
    except stack.StandInError as fault:
        return _refusal(_CANNOT_START, str(fault))


def _migrate(settings: Settings, option: str = "") -> int:
    if settings.database_url is None or not settings.secret_keys:
        return _refusal("Nothing to migrate:", "set DATABASE_URL and SECRET_KEYS")
    from service.wiring import check_schema, migrate, print_migrations  # noqa: PLC0415

    _clean_up_when_interrupted()
    try:
        if option == "--check":
            outdated, difference = asyncio.run(check_schema(settings))
            log.log(
                logging.WARNING if difference else logging.INFO,
                difference or "the schema is the one that this code expects",
            )
            return int(outdated)
        if option == "--sql":
            print(asyncio.run(print_migrations(settings)), end="")  # noqa: T201 # to be piped
            return 0
        sealed_anew, lost = asyncio.run(migrate(settings))
    except Exception as fault:  # noqa: BLE001 # the platform reads the exit code
        log.error("migration failed: %s", logs.describe(fault))  # noqa: TRY400 # without secrets
        return 1
    log.info("the user database is up to date; %d phone numbers sealed anew", sealed_anew)
    if lost:
        log.error("%d phone numbers open under none of SECRET_KEYS: put the lost key back", lost)
        return 1
    return 0


def _pass_over_signals() -> None:
    """Until the supervisor heeds them; not by SIG_IGN, which other programs would inherit."""
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT]
    if not os.isatty(0):  # else it is the end of the terminal
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda *_: None)


def _clean_up_when_interrupted() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt."""
    if _INTERRUPTIBLE:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _refusal(headline: str, text: str) -> int:
    lines = "".join(f"\n  {line}" for line in text.splitlines())
    print(f"{headline}{lines}", file=sys.stderr)  # noqa: T201 # before there is a log
    return _EXIT_MISCONFIGURED


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:  # before there was a supervisor to heed it
        sys.exit(_EXIT_INTERRUPTED)
