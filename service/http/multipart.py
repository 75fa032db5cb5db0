"""A body that is a form with a file in it, read as it comes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from service.core.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.http.request import AppRequest

    Pace = Callable[[], Awaitable[None]]

MOST_PARTS: Final = 8
MOST_HEADERS: Final = 8
"""Of a part; RFC 7578 has three."""
LONGEST_HEADER: Final = 1024
"""Bytes."""
_OVERHEAD: Final = 4096
"""Bytes of a body beside its file."""
_PIECE: Final = 8192
"""Bytes that are read in one turn of the event loop."""
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046, 5.1.1."""


class _Form:
    """What has come of one so far."""

    def __init__(self, boundary: str, *, field: str, largest: int) -> None:
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=LONGEST_HEADER,
            max_header_count=MOST_HEADERS,
            max_segment_count=MOST_PARTS,
            # Which has a letter for every byte: nobody reads the names, so they may be in any.
            header_charset="latin-1",
        )
        self._field = field
        self._largest = largest
        self._files: list[bytearray] = []
        self._texts: list[bytearray] = []
        self._part = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; none are the end. Raises InvalidRequest, BodyTooLarge."""
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, bytes | bytearray):
                    self._take(event)
                elif event is not None:
                    self._begin(event)
        except MultipartError:  # its text may quote the form
            raise InvalidRequest(self._field, "not readable as multipart/form-data") from None

    def file(self) -> bytes:
        """What was in it, once it is complete: some clients give it no file name."""
        self.feed(b"")
        found = self._files or [max(self._texts, key=len, default=bytearray())]
        if len(found) > 1 or not found[0]:
            raise self._not_one_file()
        return bytes(found[0])

    def _begin(self, part: MultipartSegment) -> None:
        is_file = part.filename is not None or (part.content_type or "").startswith("image/")
        if is_file and self._files:
            raise self._not_one_file()
        self._part = bytearray()
        (self._files if is_file else self._texts).append(self._part)

    def _take(self, content: bytes | bytearray) -> None:
        if len(self._part) + len(content) > self._largest:
            raise BodyTooLarge
        self._part += content

    def _not_one_file(self) -> InvalidRequest:
        return InvalidRequest(self._field, "send one file")


async def read_file(
    request: AppRequest,
    *,
    field: str,
    largest: int,
    grow: Callable[[int], None],
    pace: Pace,
) -> bytes:
    """The one file of the form that is the body of a stream route.

    `field`: what an error calls it. `largest`: bytes. `grow` is told how many
    bytes are about to be kept, and may raise. Each piece waits for `pace`.
    Raises UnsupportedMediaType, InvalidRequest, BodyTooLarge.
    """
    form = _Form(_boundary(request), field=field, largest=largest)
    left = largest + _OVERHEAD
    body: Any = request.stream
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            raise BodyTooLarge
        grow(len(chunk))
        for start in range(0, len(chunk), _PIECE):
            await pace()
            form.feed(chunk[start : start + _PIECE])
    return form.file()


def _boundary(request: AppRequest) -> str:
    kind, options = parse_options_header(request.headers.getone("content-type", ""))
    if kind != "multipart/form-data":
        raise UnsupportedMediaType
    boundary: str = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest("Content-Type", "multipart/form-data names no usable boundary")
    return boundary
