"""How the service logs: one line per event, nothing forged and no secret in it.

Callers log event names and fields that are no secrets; a field is given by `extra=`. As a second
line of defence every record passes a filter that blanks what looks like one of ours, and a
formatter that lets no text begin a line of its own or move a cursor.
"""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from service.logs.lines import JsonLine, OneLine
from service.logs.redaction import Redact, describe, redact, visible

if TYPE_CHECKING:
    from service.config.settings import Settings

__all__ = [
    "JsonLine",
    "OneLine",
    "Redact",
    "UnreadBodies",
    "configure",
    "describe",
    "redact",
    "visible",
]

_UNREAD_BODY: Final = " body not consumed."


class UnreadBodies(logging.Filter):
    """Leaves out what Sanic calls an error: that a client sent a body to a route without one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every other record through."""
        return not str(record.msg).endswith(_UNREAD_BODY)


def configure(settings: Settings, *, worker: str = "") -> None:
    """Set up logging for this process: everything to standard error, in one form.

    `worker`: its number, a field of every line; "" for the main process. The loggers of Sanic,
    asyncio and other libraries hand on to the root, and Python's warnings become lines as well.
    """
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": Redact}, "unread": {"()": UnreadBodies}},
        "formatters": {"line": {"()": _formatter, "settings": settings, "worker": worker}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["redact"],
            }
        },
        "root": {"level": settings.log_level, "handlers": ["stderr"]},
        # Sanic's loggers propagate to the root; its chatter about workers stays out, and Alembic's.
        "loggers": {
            **{name: {"level": "WARNING"} for name in ("sanic.root", "sanic.server", "alembic")},
            "sanic.error": {"filters": ["unread"]},
        },
    }
    logging.config.dictConfig(config)
    logging.captureWarnings(True)
    # No line shows these, and to find them out is half of its cost (logging HOWTO, Optimization).
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _formatter(settings: Settings, worker: str) -> logging.Formatter:
    at_terminal = sys.stderr.isatty()
    unset = "json" if settings.production and not at_terminal else "text"
    if (settings.log_format or unset) == "json":
        return JsonLine(worker=worker)
    # https://no-color.org: whatever is in it.
    coloured = at_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return OneLine(worker=worker, coloured=coloured)
