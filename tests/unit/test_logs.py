from __future__ import annotations

import logging

import pytest

from service.core.models import SessionId
from service.logs import Redact, describe, redact

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
