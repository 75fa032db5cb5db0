"""What operators do, without a service that runs: over the same stores."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from service import wiring
from service.cli import signals
from service.cli.language import Text
from service.cli.refusal import FAILED, MISUSED, Refused
from service.cli.start import settings_with
from service.core.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service.config.settings import Settings
    from service.core.admin import Admin
    from service.core.events import EventHistory

_NEEDED: Final = ("REDIS_URL", "DATABASE_URL", "WECHAT_APPID", "SECRET_KEYS")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME: Final = 32


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """What the commands work on."""

    admin: Admin
    history: EventHistory
    settings: Settings


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[AdminAccess]:
    """The one place where the commands meet the stores."""
    async with wiring.open_admin(settings) as opened:
        yield AdminAccess(opened.admin, opened.history, settings)


def with_admin(act: Callable[[AdminAccess], Awaitable[int]]) -> int:
    """What `act` returns, the exit code; raises Refused for what it cannot do."""
    settings = settings_with(*_NEEDED)
    # What happens is told as the result; what fails, below.
    logging.getLogger().setLevel(logging.CRITICAL)

    async def run() -> int:
        async with open_admin(settings) as opened:
            return await act(opened)

    signals.clean_up_when_interrupted()
    try:
        return asyncio.run(run())
    except ServiceError as error:
        code = MISUSED if error.status == HTTPStatus.BAD_REQUEST else FAILED
        why = (error.data or {}).get("why")  # which only the English text has
        raise Refused(
            Text(error.en, f"{error.zh}：{why}" if why else error.zh), code=code
        ) from None


def operator_name() -> str:
    """Who does it, for the event: `cli:` and the login name, with sudo that of before it."""
    try:
        name = os.getlogin()  # of the terminal, so that sudo does not hide who it was
    except OSError:  # no terminal
        import pwd  # noqa: PLC0415 # not everywhere

        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:  # a container's number without a name
            name = str(os.geteuid())
    return f"cli:{_NO_NAME.sub('_', name)[:_LONGEST_NAME]}"
