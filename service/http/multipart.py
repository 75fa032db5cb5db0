"""A body that is a form with a file in it, read as it comes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from multipart import MultipartError, PushMultipartParser, parse_options_header

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
    """What has come of one so far. Of its parts only the file is kept."""

    def __init__(self, boundary: str, *, field: str, largest: int) -> None:
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=LONGEST_HEADER,
            max_header_count=MOST_HEADERS,
            max_segment_count=MOST_PARTS,
        )
        self._field = field
        self._largest = largest
        self._file: bytearray | None = None
        self._in_file = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; none are the end. Raises InvalidRequest, BodyTooLarge."""
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, bytes | bytearray):
                    self._take(event)
                elif event is not None:
                    self._begin(is_file=event.filename is not None)
        except MultipartError:  # its text may quote the form
            raise InvalidRequest(self._field, "not readable as multipart/form-data") from None

    def file(self) -> bytes:
        """What was in it, once it is complete."""
        self.feed(b"")
        if self._file is None:
            raise self._not_one_file()
        return bytes(self._file)

    def _begin(self, *, is_file: bool) -> None:
        if is_file and self._file is not None:
            raise self._not_one_file()
        self._in_file = is_file
        if is_file:
            self._file = bytearray()

    def _take(self, part: bytes | bytearray) -> None:
        if self._file is not None and self._in_file:
            if len(self._file) + len(part) > self._largest:
                raise BodyTooLarge
            self._file += part

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
    form = _Form(_boundary(request, field), field=field, largest=largest)
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


def _boundary(request: AppRequest, field: str) -> str:
    kind, options = parse_options_header(request.headers.getone("content-type", ""))
    if kind != "multipart/form-data":
        raise UnsupportedMediaType
    boundary: str = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(field, "no usable boundary")
    return boundary
