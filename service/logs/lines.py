"""What a record looks like: a line of text, or a JSON object on a line."""

from __future__ import annotations

import logging
import re
import time
from typing import Any, Final

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter

from service.logs.redaction import fields_of, visible

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_TIME: Final = "%Y-%m-%dT%H:%M:%S%z"
_UTC: Final = "%Y-%m-%dT%H:%M:%S"
_BARE: Final = re.compile(r"[\w.:/@+,*-]+")
"""Values that need no quotes: with a space or an = they could pass for a field of their own."""
_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {
    "DEBUG": _DIM,
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_OWN: Final = frozenset({"time", "level", "logger", "message", "error", "worker"})
"""Names in a JSON object that mean the same in every line: a field of such a name gets a _."""


class OneLine(logging.Formatter):
    """Makes a record one line, whatever its message, its logger's name, its error or fields say.

    It takes the message that Redact has left; without Redact, the record's own.
    """

    _told: tuple[int | None, str] = (None, "")
    """The last second that a line was of, and how it is written."""

    def __init__(
        self, fmt: str = _TEXT, datefmt: str = _TIME, *, worker: str = "", coloured: bool = False
    ) -> None:
        """`worker`: which one writes it, as a field; "" for none. `coloured`: for a terminal."""
        super().__init__(fmt, datefmt)
        self._worker = f" worker={worker}" if worker else ""
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The line; an error stands behind the message, not below it, and the fields at the end."""
        message = vars(record).get("message")
        if message is None:
            message = record.getMessage()
        record.message = message.rstrip()  # warnings end with a line break
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        if record.exc_text:
            line = f"{line}: {record.exc_text}"
        for name, value in fields_of(record):
            line += f" {name}={_shown(value)}"
        line = visible(line + self._worker)
        return self._in_colour(record, line) if self._coloured else line

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 # logging's
        """The time in whole seconds: written once for all lines of one."""
        second = int(record.created)
        if self._told[0] != second:
            self._told = second, super().formatTime(record, datefmt)
        return self._told[1]

    @staticmethod
    def _in_colour(record: logging.LogRecord, line: str) -> str:
        when, level = record.asctime, record.levelname
        head = f"{when} {level}"
        if not line.startswith(head):
            return line
        colour = _COLOURS.get(level, "")
        return f"{_DIM}{when}{_RESET} {colour}{level}{_RESET}{line[len(head) :]}"


class JsonLine(OrjsonFormatter):
    """Makes a record, as Redact has left it, a JSON object on one line.

    `time` in UTC to the millisecond, `level`, `logger` and `message`; `error` where there is one,
    `worker` where it has a number, and the fields of the record. No text in it has a character
    that is not shown: who prints a value alone is safe as well.
    """

    _told: tuple[int | None, str] = (None, "")
    """As OneLine has it."""

    def __init__(self, *, worker: str = "") -> None:
        super().__init__([])
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The object; the library's own way looks at each thing that every record has."""
        told: dict[str, Any] = {
            "time": self._time(record.created),
            "level": visible(record.levelname),
            "logger": visible(record.name),
            "message": visible(record.message.rstrip()),
        }
        if record.exc_text:
            told["error"] = visible(record.exc_text)
        if self._worker:
            told["worker"] = self._worker
        for name, value in fields_of(record):
            told[f"{name}_" if name in _OWN else name] = value
        return self.serialize_log_record(told)

    def _time(self, created: float) -> str:
        second = int(created)
        if self._told[0] != second:
            self._told = second, time.strftime(_UTC, time.gmtime(second))
        return f"{self._told[1]}.{int((created - second) * 1000):03d}Z"


def _shown(value: object) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return orjson.dumps(value).decode()
