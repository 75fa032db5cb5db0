"""Chunked bodies, cut at any byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sanic.exceptions import BadRequest

from service.http.chunks import ChunkedBody
from tests.api.malformed import CHUNKED, GET, HIDDEN, MALFORMED

BODIES = {how: raw for how, raw in MALFORMED.items() if raw.startswith(CHUNKED)}


def read(raw: bytes, sizes: list[int]) -> tuple[bytes, bytes]:
    """The content of a body that comes in pieces of these sizes, again and again; what is left."""
    body, buffer, content, start, turn = ChunkedBody(), bytearray(), b"", 0, 0
    while not body.complete:
        assert start < len(raw), "it does not end"
        size = sizes[turn % len(sizes)]
        buffer += raw[start : start + size]
        start, turn = start + size, turn + 1
        content += body.take(buffer)
    return content, bytes(buffer) + raw[start:]


def coded(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


@given(
    st.lists(
        st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"\r\n"]),
        max_size=8,
    ),
    st.lists(st.integers(1, 12), min_size=1, max_size=8),
)
def test_it_is_read_however_it_is_cut_and_nothing_that_follows(
    chunks: list[bytes], sizes: list[int]
) -> None:
    assert read(coded(chunks) + HIDDEN, sizes) == (b"".join(chunks), HIDDEN)


@pytest.mark.parametrize("how", BODIES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_what_is_malformed_is_refused_however_it_is_cut(how: str, size: int) -> None:
    with pytest.raises(BadRequest):
        read(BODIES[how].removeprefix(CHUNKED) + GET, [size])


def test_chunks_of_one_byte_are_read() -> None:
    chunks = [b"x"] * 5000
    assert read(coded(chunks), [1000]) == (b"x" * 5000, b"")


def test_what_is_no_content_has_its_limit() -> None:
    chunk = b"1;" + b"a" * 20 + b"\r\nx\r\n"
    assert read(chunk * 10 + b"0\r\n\r\n", [1000])[0] == b"x" * 10
    with pytest.raises(BadRequest):
        read(chunk * 100, [1000])
