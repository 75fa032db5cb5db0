"""The chunked coding of a body, read by llhttp, which takes it only as RFC 9112 has it."""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpRequestParser
from sanic.exceptions import BadRequest

_HEAD: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_END: Final = b"\r\n\r\n"
_SMALLEST_CHUNK: Final = 6
"""Bytes on the wire of a chunk that holds one, the least that makes sense: `1`, CRLF, it, CRLF."""
_SPARE: Final = 1024
"""Bytes that a whole body may take beyond that, for extensions and leading zeros."""


class ChunkedBody:
    """One body on its way in: bytes of the wire go in, its content comes out.

    Extensions are checked and dropped, trailers refused: who forwards a request
    might take them for headers.
    """

    def __init__(self) -> None:
        self.complete = False
        self._content: list[bytes] = []
        self._last = b""
        self._allowance = _SPARE
        self._in_body = False
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(_HEAD)
        self._in_body = True

    def take(self, buffer: bytearray) -> bytes:
        """Take from `buffer` what is of this body, and return the content therein.

        What follows the body stays in `buffer`. Raises BadRequest.
        """
        try:
            while buffer and not self.complete:
                # llhttp does not say where a body ended, so what it is given never goes on
                # after an empty line, which is what every body ends with.
                piece = bytes(buffer[: self._up_to_empty_line(buffer)])
                del buffer[: len(piece)]
                self._last = (self._last + piece)[-3:]
                self._allowance -= len(piece)
                self._parser.feed_data(piece)
                if self._allowance < 0:
                    raise BadRequest("Bad chunked encoding")
        except HttpParserError:
            raise BadRequest("Bad chunked encoding") from None
        content = b"".join(self._content)
        self._content.clear()
        return content

    def _up_to_empty_line(self, buffer: bytearray) -> int:
        begun = (self._last + buffer[:3]).find(_END)
        if begun >= 0:
            return begun + len(_END) - len(self._last)
        found = buffer.find(_END)
        return len(buffer) if found < 0 else found + len(_END)

    # What llhttp calls.

    def on_body(self, content: bytes) -> None:
        """Content of a chunk, or of a part of one."""
        self._content.append(content)
        self._allowance += len(content) * _SMALLEST_CHUNK

    def on_header(self, _name: bytes, _value: bytes) -> None:
        """A trailer, except in the head that we wrote; what is raised makes llhttp stop."""
        if self._in_body:
            raise BadRequest("Trailers are not read")

    def on_message_complete(self) -> None:
        """The last chunk and the line after it are here."""
        self.complete = True
