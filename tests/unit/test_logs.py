from __future__ import annotations

import asyncio
import io
import logging
import unicodedata
import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import logs
from service.core.models import SessionId
from service.logs import Redact, describe, redact, visible
from tests.support.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = SessionId("H" * 22, "s" * 43)  # no random one: it is part of the names of tests


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (
            "https://h/p?appid=wx1&secret=canary&js_code=canary",
            "https://h/p?appid=wx1&secret=***&js_code=***",
        ),
        ('{"session_key": "canary", "openid": "o1"}', '{"session_key": "***", "openid": "o1"}'),
        ("redis://user:canary@host:6379/0", "redis://user:***@host:6379/0"),
        ("rediss://:canary@host", "rediss://:***@host"),
        (f"sessionid {SESSION.text} seen", f"sessionid {'H' * 22}.*** seen"),
        ("X-WX-Code: 0canary+/=, Host: h", "X-WX-Code: ***, Host: h"),
        (
            "<Header('x-wx-code': '0canary', 'x-wx-iv': 'canary==')>",
            "<Header('x-wx-code': '***', 'x-wx-iv': '***')>",
        ),
        ("[(b'x-wx-encrypted-data', b'canary')]", "[(b'x-wx-encrypted-data', b'***')]"),
        (f"X-WX-Skey: {SESSION.text}", f"X-WX-Skey: {'H' * 22}.***"),
        ("login handle=abc device=default", "login handle=abc device=default"),
    ],
)
def test_secrets_are_blanked_and_the_rest_stays(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_every_record_passes_clean() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "got %s", (SESSION.text,), None)
    assert Redact().filter(record)
    assert SESSION.secret not in record.getMessage()


def test_a_traceback_is_told_without_its_secrets() -> None:
    with pytest.raises(ValueError, match="cannot use") as raised:
        raise ValueError(f"cannot use {SESSION.text}")
    error = raised.value
    record = logging.LogRecord(
        "n", logging.ERROR, "f", 1, "failed", (), (type(error), error, error.__traceback__)
    )
    assert describe(error).startswith("ValueError: cannot use HHHH")
    Redact().filter(record)
    shown = logging.Formatter().format(record)
    assert "test_logs.py" in shown
    assert SESSION.secret not in shown


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert describe(ValueError("odd")) == "ValueError: odd"


FORGED = "x\n2026-01-01T00:00:00+0000 INFO service.core.login login handle=forged"
MOVES = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u2028\u2029\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\ud800\udbff\udc00\udfff\u200b\ufeff\ufff9\U000e0041",
]


@pytest.fixture
def stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[io.StringIO]:
    """What the log of a process comes to, as `configure` sets it up."""
    told = io.StringIO()
    monkeypatch.setattr("sys.stderr", told)
    root, former = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    logs.configure(make_settings())
    yield told
    logging.captureWarnings(False)
    root.handlers = former
    root.setLevel(level)
    assert capsys.readouterr().err == "", "a handler complained"


@pytest.mark.parametrize(
    "name", ["service", "sanic.root", "sanic.error", "sanic.server", "asyncio", "some.library"]
)
def test_whatever_is_logged_is_one_line(name: str, stderr: io.StringIO) -> None:
    log = logging.getLogger(name)
    log.error("message %s", FORGED)
    log.error(FORGED)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("failed")
    lines = stderr.getvalue().splitlines()
    assert len(lines) == 3
    assert all(f" ERROR {name} " in line and "handle=forged" in line for line in lines)
    assert "failed: ValueError: x\\n2026" in lines[2]


def test_a_loggers_name_forges_nothing(stderr: io.StringIO) -> None:
    logging.getLogger(f"library.{FORGED}").error("message")
    assert len(stderr.getvalue().splitlines()) == 1


def test_a_body_that_nobody_wanted_is_no_error_of_ours(stderr: io.StringIO) -> None:
    log = logging.getLogger("sanic.error")
    log.error("<AppRequest: GET /me> body not consumed.")
    log.error("Connection lost before response written")
    [line] = stderr.getvalue().splitlines()
    assert "Connection lost" in line


async def test_what_asyncio_complains_of_is_one_line(stderr: io.StringIO) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": FORGED, "exception": ValueError(FORGED), "task": FORGED}
    )
    [line] = stderr.getvalue().splitlines()
    assert " ERROR asyncio " in line


def test_a_warning_is_one_line(stderr: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn(FORGED, stacklevel=1)
    [line] = stderr.getvalue().splitlines()
    assert " WARNING py.warnings " in line


@pytest.mark.parametrize("mark", MOVES, ids=lambda mark: f"U+{ord(mark):04X}")
def test_what_moves_the_cursor_or_is_not_shown_is_an_escape(mark: str) -> None:
    shown = visible(f"a{mark}b 小明")
    assert shown.startswith("a\\")
    assert shown.endswith("b 小明")
    assert shown.isprintable()


@given(st.text(st.characters()))  # lone surrogates among them
def test_no_text_is_more_than_one_line(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for one in shown)
    assert shown.encode().decode() == shown
    assert visible(shown) == shown


def test_each_line_has_the_time_of_its_own_second() -> None:
    ours, plain = (
        logs.OneLine("%(asctime)s", "%H:%M:%S"),
        logging.Formatter("%(asctime)s", "%H:%M:%S"),
    )
    for created in (0.2, 0.9, 1.0, 0.5, 3600.1):
        record = logging.LogRecord("n", logging.INFO, "f", 1, "m", (), None)
        record.created = created
        assert ours.format(record) == plain.format(record)


def test_what_another_handler_made_of_a_record_is_not_what_is_shown() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "got %s", (SESSION.text,), None)
    assert SESSION.secret in logging.Formatter().format(record)
    Redact().filter(record)
    assert logs.OneLine("%(message)s").format(record) == f"got {'H' * 22}.***"


def test_half_a_character_does_not_break_a_handler() -> None:
    strict = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    handler = logging.StreamHandler(strict)
    handler.setFormatter(logs.OneLine("%(message)s"))
    handler.emit(logging.LogRecord("n", logging.INFO, "f", 1, "got %s", ("\ud83d",), None))
    strict.seek(0)
    assert strict.read() == "got \\ud83d\n"
