"""What `migrate` does."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from service import logs, wiring
from service.cli import signals
from service.cli.language import Text
from service.cli.refusal import FAILED, FINE, Refused
from service.cli.start import settings_with

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.cli.output import Output
    from service.config.settings import Settings

T = TypeVar("T")

log = logging.getLogger("service")

_FAILED = Text("The migration failed; the log says why.", "迁移失败；原因见日志。")


def migrate() -> int:
    """Bring the tables up to date, and numbers under the newest key."""
    sealed_anew, lost = _done(wiring.migrate)
    log.info("the user database is up to date; %d phone numbers sealed anew", sealed_anew)
    if lost:
        log.error("%d phone numbers open under none of SECRET_KEYS: put the lost key back", lost)
        return FAILED
    return FINE


def check() -> int:
    """Say whether that is due."""
    outdated, difference = _done(wiring.check_schema)
    log.log(
        logging.WARNING if difference else logging.INFO,
        difference or "the schema is the one that this code expects",
    )
    return FAILED if outdated else FINE


def print_statements(output: Output) -> int:
    """What would be done, to be piped."""
    for line in _done(wiring.print_migrations).splitlines():
        output.line(line)
    return FINE


def _done(act: Callable[[Settings], Awaitable[T]]) -> T:
    """What it returns; raises Refused after logging why it fails."""
    settings = settings_with("DATABASE_URL", "SECRET_KEYS")
    signals.clean_up_when_interrupted()

    async def run() -> T:
        return await act(settings)

    try:
        return asyncio.run(run())
    except Exception as fault:  # noqa: BLE001 # the platform reads the exit code
        log.error("migration failed: %s", logs.describe(fault))  # noqa: TRY400 # without secrets
        raise Refused(_FAILED, code=FAILED) from None
