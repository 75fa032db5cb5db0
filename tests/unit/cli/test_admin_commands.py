"""users, sessions, events: what they ask for, what they print, and what they ask first."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.cli import admin_access, times
from service.cli.session_ends import near
from service.core.errors import InvalidRequest, SessionStoreUnavailable, UnknownAppid
from service.core.events import HOW_COUNTED
from service.core.session_story import SessionEnd
from service.core.why_texts import Sentence
from tests.support.settings import SECRET_KEY
from tests.unit.cli.fake_admin import FakeAccess

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli

SETTINGS: Final = {
    "REDIS_URL": "redis://127.0.0.1:1",
    "DATABASE_URL": "sqlite:///users.db",
    "WECHAT_APPID": "wx1",
    "WECHAT_SECRET": "secret",
    "SECRET_KEYS": SECRET_KEY,
}


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> FakeAccess:  # noqa: ARG001 # which empties the environment first
    access = FakeAccess()
    monkeypatch.setattr(admin_access, "open_admin", access.open)
    monkeypatch.setattr(os, "getlogin", lambda: "olga\x1b")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return access


@pytest.mark.parametrize("field", ["id", "openid", "unionid", "phone", "nickname"])
def test_users_are_found_by_any_of_five_fields(cli: Cli, access: FakeAccess, field: str) -> None:
    ended = cli("users", "find", f"--{field}", "x", "--limit", "7", "--after", "a")
    assert ended.code == 0
    assert access.calls == [("find", field, "x", 7, "a")]
    head, row, more = ended.out.splitlines()
    assert head.split() == ["id", "nickname", "phone", "ban", "created"]
    assert "138****0001" in row
    assert more == "There are more: --after the-next"


@pytest.mark.usefixtures("access")
def test_what_users_call_themselves_does_nothing_to_the_terminal(cli: Cli) -> None:
    for form in ([], ["--json"]):
        ended = cli("users", "find", "--id", "x", *form)
        assert "\x1b" not in ended.out
        assert "小明" in ended.out
    assert json.loads(ended.out)["users"][0]["nickname"] == "小明\x1b[2J"


@pytest.mark.usefixtures("access")
def test_columns_stand_below_each_other_with_chinese_in_them(cli: Cli) -> None:
    head, row, _ = cli("users", "find", "--id", "x").out.splitlines()
    assert head.index("phone") == row.index("138****0001") + len("小明")


def test_nobody_found_is_exit_1(cli: Cli, access: FakeAccess) -> None:
    ended = cli("users", "find", "--phone", "nobody")
    assert (ended.code, ended.out) == (1, "No such user.\n")
    assert access.calls


@pytest.mark.parametrize("arguments", [[], ["--id", "x", "--openid", "y"], ["--limit", "x"]])
def test_one_field_has_to_be_named(cli: Cli, access: FakeAccess, arguments: list[str]) -> None:
    assert cli("users", "find", *arguments).code == 2
    assert access.calls == []


@pytest.mark.usefixtures("access")
def test_a_user_is_shown_with_identities_sessions_and_events(cli: Cli) -> None:
    out = cli("users", "show", "alice-id").out
    for part in ("openid-1", "live, its key has left SECRET_KEYS", "replaced", "192.0.2.0/24"):
        assert part in out
    told = json.loads(cli("users", "show", "alice-id", "--json").out)
    assert [*told] == ["user", "identities", "sessions", "events"]
    assert told["user"]["phone"] == "138****0001"
    assert told["user"]["ban"] is None
    assert told["sessions"][0]["keyLost"] is True
    assert told["events"][0]["requestId"] == "0123456789abcdef"
    assert "reason" not in told["events"][0]  # what is empty is left out


BY: Final = "cli:olga_"
DANGEROUS: Final = [
    (
        ["users", "kick", "u", "--app", "wx1", "--device", "pc"],
        ("kick", "u", BY, "wx1", "pc"),
        {"ended": 2},
    ),
    (["users", "ban", "u", "--reason", "spam"], ("ban", "u", BY, "spam", None), None),
    (["users", "delete", "u"], ("delete", "u", BY), {"deleted": True}),
    (
        ["sessions", "end", "--app", "wx1", "--before", "1764237780"],
        ("end_sessions", BY, "wx1", None, 1764237780000),
        {"before": 1764237780000, "holdsFrom": 1764237782000},
    ),
]


@pytest.mark.parametrize(("arguments", "call", "told"), DANGEROUS, ids=lambda one: str(one)[:24])
def test_what_cannot_be_undone_wants_yes(
    cli: Cli,
    access: FakeAccess,
    arguments: list[str],
    call: tuple[Any, ...],
    told: dict[str, Any] | None,
) -> None:
    """Where nobody sits at a terminal."""
    refused = cli(*arguments)
    assert (refused.code, access.calls) == (2, [])
    assert "add --yes" in refused.err
    ended = cli(*arguments, "--yes", "--json")
    assert (ended.code, access.calls) == (0, [call])
    assert told is None or json.loads(ended.out) == told
    assert cli(*arguments, "--yes").out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("n\n", False), ("", False)])
def test_at_a_terminal_it_asks(
    cli: Cli, access: FakeAccess, monkeypatch: pytest.MonkeyPatch, answer: str, *, done: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ended = cli("users", "delete", "u")
    assert "Delete user u? There is no way back. [y/N] " in ended.err
    assert bool(access.calls) is done
    assert ended.code == (0 if done else 1)
    assert ("Nothing was done." in ended.err) is not done


def test_a_ban_may_end_by_itself(cli: Cli, access: FakeAccess) -> None:
    assert cli("users", "ban", "u", "--until", "2h", "--yes").code == 0
    [(*_, until)] = access.calls
    assert abs(until - time.time() - 7200) < 60
    for wrong in ("2", "yesterday", "2020-01-01", "10:03"):
        assert cli("users", "ban", "u", "--until", wrong, "--yes").code == 2


def test_a_ban_is_taken_back_without_a_question(cli: Cli, access: FakeAccess) -> None:
    ended = cli("users", "unban", "u")
    assert (ended.code, ended.out) == (0, "User alice-id may log in again.\n")
    assert access.calls == [("unban", "u", BY)]


def test_events_are_filtered(cli: Cli, access: FakeAccess) -> None:
    ended = cli("events", "--user", "u", "--event", "replaced", "--since", "1764237780", "--json")
    assert access.calls == [("events", "u", [], "replaced", 1764237780000, 100, "")]
    [event] = json.loads(ended.out)["events"]
    assert event["at"] == 1764237780123
    assert "replaced" in cli("events").out
    assert cli("events", "--event", "canary").code == 2
    assert cli("events", "--since", "canary").code == 2


def test_sessions_are_counted(cli: Cli, access: FakeAccess) -> None:
    assert cli("sessions", "count").code == 2  # of which mini-program?
    assert access.calls == []
    ended = cli("sessions", "count", "--app", "wx1", "--device", "pc", "--json")
    assert access.calls == [("count", "wx1", "pc")]
    assert json.loads(ended.out) == {"count": 1234, "how": HOW_COUNTED}
    assert cli("sessions", "count", "--app", "wx1").out.startswith("1234\n")


def test_why_somebody_was_logged_out(cli: Cli, access: FakeAccess) -> None:
    ended = cli("why", "alice-id")
    assert (ended.code, ended.out) == (0, f"{times.shown(1764237780123)}  Replaced.\n")
    assert access.calls[0][:2] == ("why", "alice-id")
    assert "被取代。" in cli("why", "alice-id", "--lang", "zh").out
    [end] = json.loads(cli("why", "alice-id", "--at", "1764230000", "--json").out)["ends"]
    assert (end["at"], end["cause"]) == (1764237780123, "replaced")


def test_of_several_ends_those_about_a_time_are_told_or_the_nearest() -> None:
    ends = [
        SessionEnd(at, "h" * 22, "logout", Sentence("", ""))
        for at in (3_000_000, 2_500_000, 100_000)
    ]
    assert near(ends, None) == ends
    assert near(ends, 2_900_000) == ends[:2]
    assert near(ends, 1_000_000) == ends[2:]
    assert near([], 5) == []


def test_what_the_stores_refuse_is_told_and_exit_1(
    cli: Cli, access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = FakeAccess(SessionStoreUnavailable())
    monkeypatch.setattr(admin_access, "open_admin", away.open)
    ended = cli("users", "show", "u")
    assert (ended.code, ended.err) == (
        1,
        "The session store is not available; try again\n",
    )
    assert "会话服务暂不可用" in cli("users", "show", "u", "--lang", "zh").err
    assert access.calls == []


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (InvalidRequest("phone", "not a number"), 2, "phone: not a number"),
        (UnknownAppid(), 2, "appid"),
        (RuntimeError("redis://u:canary-7f@host"), 1, "please report it: RuntimeError"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_wrong_values_are_exit_2_and_a_bug_is_no_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: int, told: str
) -> None:
    access = FakeAccess(fault)
    monkeypatch.setattr(admin_access, "open_admin", access.open)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    for language in ("en", "zh"):
        ended = cli("users", "find", "--phone", "1", "--lang", language)
        assert (ended.code, ended.out) == (code, "")
        assert "canary-7f" not in ended.err
        assert "Traceback" not in ended.err
        if language == "en" or isinstance(fault, InvalidRequest):
            assert told.rpartition(": ")[2] in ended.err


def test_without_the_settings_it_says_which_are_needed(
    cli: Cli, access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REDIS_URL", "SECRET_KEYS"):
        monkeypatch.delenv(name)
    ended = cli("events")
    assert ended.code == 2
    assert re.search("needs it: REDIS_URL, SECRET_KEYS", ended.err)
    assert access.calls == []
