"""How the service logs: one line per event, nothing forged and no secret in it.

Callers log event names and fields that are no secrets. As a second line of
defence every record passes a filter that blanks what looks like one of ours,
and a formatter that lets no text begin a line of its own or move a cursor.
"""

from __future__ import annotations

import logging
import logging.config
import re
import traceback
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from service.config.settings import Settings

_SECRET = re.compile(
    r"(?P<session>[A-Za-z0-9_-]{22}\.)[A-Za-z0-9_-]{43}"
    r"|(?P<query>\b(?:secret|js_code|code|session_key|access_token)=)[^&\s'\"]+"
    r"|(?P<json>[\"'](?:secret|js_code|code|session_key|access_token|sessionid)[\"']:\s*[\"'])[^\"']+"
    r"|(?P<header>(?i:\bx-wx-(?:code|encrypted-data|iv))['\"]?[\s:=,]{1,3}(?:b?['\"])?)[\w+/=-]+"
    r"|(?P<url>\b[a-z+]+://[^/\s@]*:)[^/\s@]+(?=@)"
)
# Each match of _SECRET has one of these; to look for them takes a tenth of the time.
_LIKE_A_SECRET_PART = re.compile(r"\.[A-Za-z0-9_-]{43}")
_TELLTALES: Final = ("secret", "code", "session_key", "sessionid", "token", "x-wx-", "://")
_HIDDEN: Final = "***"
_UNREAD_BODY: Final = " body not consumed."
_WITHOUT_ARGUMENTS: Final = " (with arguments that do not fit it)"


class Redact(logging.Filter):
    """Blanks session ids, credentials in URLs and named secrets in any record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with secrets blanked."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 # whatever formatting raises would end the caller's work
            # Not its arguments: nobody knows how they were to be shown.
            message = _text(record.msg) + (_WITHOUT_ARGUMENTS if record.args else "")
            record.msg, record.args = message, None
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, None
        record.message = clean  # so that OneLine need not put it together again
        if record.exc_info and record.exc_info[1]:
            record.exc_text = describe(record.exc_info[1])
            record.exc_info = None
        return True


class UnreadBodies(logging.Filter):
    """Leaves out what Sanic calls an error: that a client sent a body to a route without one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every other record through."""
        return not str(record.msg).endswith(_UNREAD_BODY)


class OneLine(logging.Formatter):
    """Makes a record one line, whatever its message, its logger's name or its error say.

    It takes the message that Redact has left; without Redact, the record's own.
    """

    _told: tuple[int | None, str] = (None, "")
    """The last second that a line was of, and how it is written."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; an error stands behind the message, not below it."""
        message = vars(record).get("message")
        if message is None:
            message = record.getMessage()
        record.message = message.rstrip()  # warnings end with a line break
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        return visible(f"{line}: {record.exc_text}" if record.exc_text else line)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 # logging's
        """The time in whole seconds: written once for all lines of one."""
        second = int(record.created)
        if self._told[0] != second:
            self._told = second, super().formatTime(record, datefmt)
        return self._told[1]


def visible(text: str) -> str:
    """`text` with what is not shown, or moves what is shown, as an escape of Python's.

    That is Unicode's classes C and Z except the space: line breaks of all kinds,
    terminals' escape codes, marks that turn the direction of writing, halves of
    characters. A backslash stays as it is: an escape in a log may be two characters
    that somebody sent, but never a line.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def redact(text: str) -> str:
    """`text` with everything blanked that looks like a secret of ours."""
    if not _LIKE_A_SECRET_PART.search(text):
        lower = text.lower()
        for word in _TELLTALES:  # any() takes three times as long
            if word in lower:
                break
        else:
            return text
    return _SECRET.sub(lambda match: f"{match[match.lastgroup or 0]}{_HIDDEN}", text)


def describe(error: BaseException) -> str:
    """An exception for the log: its kind, its redacted text, and where it came from."""
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    ]
    what = redact(f"{type(error).__name__}: {_text(error)}")
    return f"{what} at {' < '.join(reversed(places))}" if places else what


def _text(thing: object) -> str:
    """Its text, also where asking for that raises."""
    try:
        return str(thing)
    except Exception:  # noqa: BLE001 # as above
        return f"{type(thing).__name__} (without a text)"


def configure(settings: Settings) -> None:
    """Set up logging for this process: everything to standard error, in one form.

    The loggers of Sanic, asyncio and other libraries hand on to the root, and Python's warnings
    become lines as well.
    """
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": Redact}, "unread": {"()": UnreadBodies}},
        "formatters": {
            "line": {
                "()": OneLine,
                "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
                "datefmt": "%Y-%m-%dT%H:%M:%S%z",
            }
        },
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
