"""What no line may hold: secrets of ours, and what would forge a line or move a cursor."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from service.core.request_info import current_request

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
_WITHOUT_ARGUMENTS: Final = " (with arguments that do not fit it)"
_SECRET_NAMES: Final = frozenset(
    {
        "secret", "appsecret", "js_code", "code", "session_key", "sessionkey", "sessionid", "skey",
        "access_token", "token", "password", "authorization", "phone", "phonenumber",
        "purephonenumber", "iv", "encrypteddata",
    }
)  # fmt: skip
"""Fields that are blanked whatever is in them, in lower case."""
_NOT_OF_A_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_NAME: Final = 64
_DEEPEST: Final = 3
_LARGEST: Final = 2**63
REQUEST_ID: Final = "requestId"
_PLAIN: Final = len(vars(logging.makeLogRecord({})))
"""What every record has; `extra` comes behind it."""
_OF_FORMATTERS: Final = frozenset({"message", "asctime"})


class Redact(logging.Filter):
    """Blanks session ids, credentials in URLs and named secrets in any record, and in its fields.

    And adds the id of the request that is worked on, if there is one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with secrets blanked."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 # whatever formatting raises would end the caller's work
            # Not its arguments: nobody knows how they were to be shown.
            message = _text(record.msg) + (_WITHOUT_ARGUMENTS if record.args else "")
        clean = redact(message)
        record.msg, record.args = clean, None
        record.message = clean  # so that a formatter need not put it together again
        if record.exc_info and record.exc_info[1]:
            record.exc_text = describe(record.exc_info[1])
        record.exc_info = record.stack_info = None
        fields = vars(record)
        if len(fields) > _PLAIN:
            _clean_fields(fields)
        request = current_request.get()
        if request is not None:
            fields.setdefault(REQUEST_ID, request.request_id)
        return True


def fields_of(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """What `extra=` has given a record, by name, and what Redact has added."""
    given = islice(vars(record).items(), _PLAIN, None)
    return [field for field in given if field[0] not in _OF_FORMATTERS]


def _clean_fields(fields: dict[Any, Any]) -> None:
    for name in list(islice(fields, _PLAIN, None)):
        if name in _OF_FORMATTERS:
            continue
        value = fields.pop(name)
        fields[_name(name)] = _clean(name, value, _DEEPEST)


def _name(given: object) -> str:
    """A field's name, with which nothing can begin that looks like another field."""
    if isinstance(given, str) and given.isidentifier() and given.isascii():
        return given[:_LONGEST_NAME]
    return _NOT_OF_A_NAME.sub("_", redact(_text(given)))[:_LONGEST_NAME] or "_"


def _clean(name: object, value: object, depth: int) -> Any:
    """The value of a field as it may be shown, made of what JSON knows."""
    if value is None or isinstance(value, (bool, float, int)):
        # JSON's readers, and orjson, know no larger numbers.
        is_large = isinstance(value, int) and not -_LARGEST <= value < _LARGEST
        return str(value) if is_large else value
    if isinstance(name, str) and name.lower() in _SECRET_NAMES and value:
        return _HIDDEN
    if isinstance(value, str):
        return visible(redact(value))
    if depth and isinstance(value, Mapping):
        return {_name(key): _clean(key, one, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(None, one, depth - 1) for one in value]
    return visible(redact(_text(value)))


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
