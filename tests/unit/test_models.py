from __future__ import annotations

import inspect
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.core.models import (
    SECRET_BYTES,
    SessionId,
    SessionKeys,
    WeChatApp,
    WeChatIdentity,
    handle_of,
)

if TYPE_CHECKING:
    from tests.support.figure import Figure


@pytest.mark.bar("A6")
def test_a_million_ids_differ_and_have_one_form(figure: Figure) -> None:
    ids = {SessionId.new("H" * 22).secret for _ in range(1_000_000)}
    figure(f"{1_000_000 - len(ids)} of 1,000,000 twice")
    assert len(ids) == 1_000_000
    assert all(SessionId.parse(f"{'H' * 22}.{secret}") for secret in list(ids)[:1000])


@pytest.mark.bar("A6")
def test_no_secret_is_drawn_from_anything_but_the_systems_source() -> None:
    """`random` is for jitter, in five files; uuid, which OWASP ASVS 11.5.1 rules out, in none."""
    service = Path(__file__).parents[2] / "service"
    jitter = {
        "core/watch.py",
        "redis/cluster.py",
        "stores/session_marks.py",
        "wechat/http.py",
        "wechat/access_token.py",
    }
    for file in service.rglob("*.py"):
        name = file.relative_to(service).as_posix()
        if not name.startswith("simulator/"):
            found = re.findall(
                r"^\s*(?:import|from) (random|uuid)\b", file.read_text(), re.MULTILINE
            )
            assert found == (["random"] if name in jitter else []), name
    assert SECRET_BYTES * 8 == 256
    assert "secrets.token_urlsafe(SECRET_BYTES)" in inspect.getsource(SessionId.new)


def test_an_id_survives_the_trip_to_the_client() -> None:
    session_id = SessionId.new(handle_of("wx1", "o1", "phone"))
    assert SessionId.parse(session_id.text) == session_id
    assert len(session_id.text) == 66


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.b",
        "A" * 66,
        "A" * 22 + "." + "A" * 42,
        "A" * 22 + "." + "A" * 44,
        "A" * 21 + "!." + "A" * 43,
        "A" * 22 + "." + "A" * 42 + "\n",
        "A" * 22 + "." + "A" * 42 + "é",
        "A" * 22 + "." + "A" * 42 + "\udcff",
        "٣" * 22 + "." + "A" * 43,
        "A" * 8192,
    ],
)
def test_what_was_never_issued_is_no_id(text: str) -> None:
    assert SessionId.parse(text) is None


def test_a_digest_is_of_one_secret_only() -> None:
    one, other = SessionId.new("H" * 22), SessionId.new("H" * 22)
    assert SessionId.parse(one.text) == one
    assert one.digest != other.digest


def test_handles_keep_their_parts_apart() -> None:
    handles = {
        handle_of("wx1", "o1", "phone"),
        handle_of("wx1o", "1", "phone"),
        handle_of("wx1", "o1p", "hone"),
        handle_of("wx2", "o1", "phone"),
    }
    assert len(handles) == 4
    assert all(len(handle) == 22 for handle in handles)


def test_no_secret_shows_in_a_repr() -> None:
    secret = secrets.token_hex(16)
    shown = repr(
        [
            SessionId("H" * 22, secret),
            WeChatApp("wx1", secret),
            WeChatIdentity("o1", secret.encode()),
            SessionKeys(secret.encode(), secret.encode()),
        ]
    )
    assert secret not in shown


def test_a_newer_key_pushes_the_current_one_back() -> None:
    first, second = b"1" * 16, b"2" * 16
    keys = SessionKeys(first)
    assert keys.followed_by(first) is keys
    assert keys.followed_by(second) == SessionKeys(second, first)
