"""Against the standard library's own, which is slower."""

from __future__ import annotations

import base64
import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import base64url


@given(st.binary())
def test_what_is_written_reads_the_same_and_is_as_others_write_it(data: bytes) -> None:
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert re.fullmatch(r"[A-Za-z0-9_-]*", text)
    assert base64url.decode(text) == data


def test_every_letter_occurs() -> None:
    text = base64url.encode(secrets.token_bytes(1 << 16))
    assert len(set(text)) == 64
    assert {"-", "_"} < set(text)


@pytest.mark.parametrize("junk", ["A", "AAAAA", "A!AA", "AA AA", "AAAA\n", "é", "=", "A=AA", "\0"])
def test_what_nobody_wrote_is_refused(junk: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # as promised, and no more
        base64url.decode(junk)
