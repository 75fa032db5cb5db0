"""A line in JSON: one object, nothing forged and no secret in it, whatever its fields say."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import logs
from service.core.models import SessionId
from service.core.request_info import current_request
from tests.support.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION = SessionId("H" * 22, "s" * 43)
FORGED = 'x\n{"level":"INFO","message":"forged"} requestId=forged level=INFO\x1b[2J\u202e\u2028\x85'


class Request:
    request_id = "request-1"
    client_address = None


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def written(form: logging.Formatter, act: Callable[[logging.Logger], None]) -> str:
    """What is written where `act` logs."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.addFilter(logs.Redact())
    handler.setFormatter(form)
    logger = logging.Logger("service.x")  # noqa: LOG001 # of its own, not the root's
    logger.addHandler(handler)
    act(logger)
    return told.getvalue()


def as_json(**extra: Any) -> dict[str, Any]:
    line = written(logs.JsonLine(), lambda log: log.warning("message", extra=extra))
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    found: dict[str, Any] = orjson.loads(line)
    return found


def as_text(**extra: Any) -> str:
    line = written(logs.OneLine(), lambda log: log.warning("message", extra=extra))
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    return line.partition(" service.x ")[2].rstrip("\n")


def test_a_line_is_an_object_with_its_fields() -> None:
    found = as_json(handle="H", new=False, seconds=1.5, failures=3, nothing=None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "WARNING",
        "logger": "service.x",
        "message": "message",
        "handle": "H",
        "new": False,
        "seconds": 1.5,
        "failures": 3,
        "nothing": None,
    }


def test_in_text_the_same_fields_stand_at_the_end() -> None:
    told = as_text(handle="H", new=False, seconds=1.5, words="two words", empty="", of=["a", 1])
    assert told == 'message handle=H new=false seconds=1.5 words="two words" empty="" of=["a",1]'


def test_the_worker_and_the_request_stand_in_every_line_of_both() -> None:
    token = current_request.set(Request())
    try:
        line = written(logs.JsonLine(worker="2"), lambda log: log.info("message"))
        text = written(logs.OneLine(worker="2"), lambda log: log.info("message"))
        own = written(logs.JsonLine(), lambda log: log.info("m", extra={"requestId": "given"}))
    finally:
        current_request.reset(token)
    found = orjson.loads(line)
    assert (found["worker"], found["requestId"]) == ("2", "request-1")
    assert text.endswith(" message requestId=request-1 worker=2\n")
    assert orjson.loads(own)["requestId"] == "given"
    assert "requestId" not in orjson.loads(written(logs.JsonLine(), lambda log: log.info("m")))


def test_a_field_cannot_pass_for_one_of_ours() -> None:
    found = as_json(level="forged", logger="forged", time="forged", error="forged", worker="9")
    assert (found["level"], found["logger"]) == ("WARNING", "service.x")
    assert {name for name in found if name.endswith("_")} == {
        "level_", "logger_", "time_", "error_", "worker_"
    }  # fmt: skip
    assert as_text(a="b requestId=c") == 'message a="b requestId=c"'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seen", SESSION.text),
        ("seen", ["a", {"deep": SESSION.text}]),
        ("url", "redis://user:canary@host:6379/0"),
        ("url", "https://h/p?secret=canary&js_code=canary"),
        ("session_key", "canary"),
        ("sessionKey", "canary"),
        ("code", "0canary"),
        ("Authorization", "Bearer canary"),
        ("fields", {"access_token": "canary", "n": 1}),
        ("error", ValueError(f"cannot use {SESSION.text}")),
        (SESSION.text, "x"),
        ("redis://user:canary@host", "x"),
    ],
)
def test_no_field_holds_a_secret(name: str, value: object) -> None:
    for told in (orjson.dumps(as_json(**{name: value})).decode(), as_text(**{name: value})):
        assert SESSION.secret not in told
        assert "canary" not in told
        assert "***" in told or name not in told


def test_an_errcode_by_the_name_of_code_is_no_secret() -> None:
    assert as_json(code=50300)["code"] == 50300


@pytest.mark.parametrize("value", [FORGED, [FORGED], {FORGED: FORGED}, ValueError(FORGED)])
def test_no_field_writes_a_line_or_moves_the_cursor(value: object) -> None:
    found = as_json(field=value)
    assert found["level"] == "WARNING"
    assert "requestId" not in found
    # Nor does who prints a value alone: jq -r, say.
    shown = found["field"]
    for one in [shown] if isinstance(shown, str) else [*shown, *getattr(shown, "values", list)()]:
        assert one.isprintable()
    assert as_text(field=value).startswith(
        'message field="' if isinstance(value, str) else "message"
    )


@pytest.mark.parametrize("name", [FORGED, "a b=c", "", "x" * 5000, "a\u202eb", 'a":1,"b'])
def test_nor_does_the_name_of_one(name: str) -> None:
    [own] = as_json(**{name: "v"}).keys() - {"time", "level", "logger", "message"}
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", own)
    assert re.fullmatch(r"message [A-Za-z0-9_.-]{1,64}=v", as_text(**{name: "v"}))


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
            max_leaves=5,
        ),
        max_size=4,
    ).filter(lambda found: not found.keys() & vars(logging.makeLogRecord({})).keys())
)
def test_whatever_the_fields_are_it_is_one_line(extra: dict[str, Any]) -> None:
    if extra.keys() & {"message", "asctime"}:
        return  # refused by the standard library
    as_json(**extra)
    as_text(**extra)


@pytest.mark.parametrize(
    "value", [2**70, -(2**70), float("nan"), b"\xff", object(), Unprintable(), {1: 2}, {(1, 2): 3}]
)
def test_what_json_does_not_know_ends_nobodys_work(
    value: object, capfd: pytest.CaptureFixture[str]
) -> None:
    as_json(field=value)
    as_text(field=value)
    assert capfd.readouterr().err == "", "logging complained"


def test_what_holds_itself_does_not_either() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert "field" in as_json(field=circle)


def test_neither_a_message_nor_a_loggers_name_moves_the_cursor() -> None:
    def act(log: logging.Logger) -> None:
        log.name = f"library.{FORGED}"
        log.error("got %s", FORGED)

    line = written(logs.JsonLine(), act)
    assert line.rstrip("\n").isprintable()
    found = orjson.loads(line)
    assert found["message"].isprintable()
    assert found["logger"].isprintable()
    assert found["level"] == "ERROR"


def test_an_error_is_a_field_with_its_place_and_without_secrets() -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError(f"cannot use {SESSION.text}\n{FORGED}")
        except ValueError:
            log.exception("failed", stack_info=True)

    line = written(logs.JsonLine(), fail)
    found = orjson.loads(line)
    assert line.count("\n") == 1
    assert found["message"] == "failed"
    assert found["error"].startswith("ValueError: cannot use HHHH")
    assert "test_json_lines.py" in found["error"]
    assert SESSION.secret not in line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("at_terminal", "production", "set_to", "form"),
    [
        (False, False, None, logs.OneLine),
        (False, True, None, logs.JsonLine),
        (True, True, None, logs.OneLine),
        (False, True, "text", logs.OneLine),
        (True, False, "json", logs.JsonLine),
    ],
)
def test_which_form_it_is(
    monkeypatch: pytest.MonkeyPatch,
    at_terminal: bool,  # noqa: FBT001 # a parameter
    production: bool,  # noqa: FBT001
    set_to: str | None,
    form: type[logging.Formatter],
) -> None:
    monkeypatch.setattr("sys.stderr", Terminal() if at_terminal else io.StringIO())
    settings = make_settings(log_format=set_to).model_copy(
        update={"environment": "production" if production else "development"}
    )
    assert type(logs._formatter(settings, "")) is form


def test_colours_are_for_terminals_only_and_for_those_who_want_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def line(stream: io.StringIO) -> str:
        monkeypatch.setattr("sys.stderr", stream)
        form = logs._formatter(make_settings(), "")
        return written(form, lambda log: log.error("failed \x1b[2J"))

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    plain = line(io.StringIO())
    assert "\x1b" not in plain
    coloured = line(Terminal())
    assert "\x1b[31mERROR\x1b[0m service.x failed \\x1b[2J" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured)[19:] == plain[19:]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in line(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in line(Terminal())
