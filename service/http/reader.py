"""Reading requests: Sanic's way, but within their time and with no doubt where a body ends.

Sanic rewrites methods of its own classes when it starts. Those here replace
whole methods, and call Sanic's own whichever way they are (docs/adr/0022).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sanic.exceptions import PayloadTooLarge, SanicException
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE

from service.http.chunks import ChunkedBody
from service.http.deadlines import Phase

if TYPE_CHECKING:
    from service.http.deadlines import TimedProtocol

_END: Final = b"\r\n\r\n"
_SKIPPED: Final = 4 * 1024 * 1024
"""Bytes that are read of a body which nobody wants, so that its sender gets to see the answer."""


class Reader(Http):
    """What reads the requests of one connection, one after the other."""

    __slots__ = ("_body_since", "_chunks")

    protocol: TimedProtocol
    request_bytes: int
    request_bytes_left: int

    def init_for_request(self) -> None:
        """Be ready for a request, the first or the next."""
        super().init_for_request()  # type: ignore[no-untyped-call]
        protocol = self.protocol
        self._receive_more = protocol.receive_more
        if protocol.phase is not Phase.NEW:
            protocol.enter(Phase.IDLE, protocol.keep_alive_timeout)

    async def http1_request_header(self) -> None:
        """Read the head. Raises BadRequest, PayloadTooLarge and RequestTimeout."""
        protocol = self.protocol
        if _END not in self.recv_buffer:
            protocol.enter(Phase.HEAD, protocol.deadlines.head)
        await super().http1_request_header()  # type: ignore[no-untyped-call]
        protocol.enter(Phase.ANSWER, protocol.response_timeout)
        if self.request_body:
            self._receive_more = self._receive
            self._body_since = 0.0
            self._chunks: ChunkedBody | None = None
            self.expecting_continue &= self.request.version != "1.0"  # RFC 9110, 10.1.1
            if self.expecting_continue:
                self.response_func = self._answer_at_once

    async def _answer_at_once(self, data: bytes, end_stream: bool) -> None:  # noqa: FBT001 # as Sanic calls it
        """Answer whoever may still wait for leave to send a body: without giving it."""
        if self.expecting_continue:
            self.expecting_continue = self.keep_alive = False
        await self.http1_response_header(data, end_stream)

    async def read(self) -> bytes | None:
        """The next piece of the body, or None at its end.

        Raises BadRequest, PayloadTooLarge and RequestTimeout, after which nothing
        that is on the connection is taken for a request.
        """
        if self.stage is Stage.IDLE:
            return await self._skip()
        try:
            return await self._read()
        except SanicException as fault:
            self.keep_alive = False
            if not isinstance(fault, PayloadTooLarge):
                self.request_body = None
            raise

    async def _skip(self) -> bytes | None:
        """The same after the answer; what comes too late or too long counts as the end."""
        self.request_max_size = _SKIPPED
        try:
            return await self._read()
        except SanicException:
            self.keep_alive, self.request_body = False, None
            return None

    async def _read(self) -> bytes | None:
        if self.request_bytes > self.request_max_size:
            raise PayloadTooLarge("Request body exceeds the size limit")
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        return await (self._read_chunks() if self._is_chunked else super().read())

    @property
    def _is_chunked(self) -> bool:
        coding: object = self.request_body  # Sanic's hint is wrong
        return coding == "chunked"

    async def _read_chunks(self) -> bytes:
        if self._chunks is None:
            del self.recv_buffer[:2]  # the line break that Sanic leaves for its own reader
            self._chunks = ChunkedBody()
        if not self.recv_buffer:
            await self._receive()
        content = self._chunks.take(self.recv_buffer)
        self.request_bytes += len(content)
        if self.request_bytes > self.request_max_size:
            raise PayloadTooLarge("Request body exceeds the size limit")
        if self._chunks.complete:
            self.request_body = None
        return content

    async def _receive(self) -> None:
        """Wait for more bytes of a body, as long as that may take."""
        protocol, deadlines = self.protocol, self.protocol.deadlines
        if self.stage is Stage.IDLE:
            if protocol.phase is not Phase.REST:
                protocol.enter(Phase.REST, deadlines.rest)
            await protocol.receive_more()
        else:
            self._body_since = self._body_since or time.monotonic()
            come = self.request_bytes - self.request_bytes_left
            seconds = deadlines.body + come / deadlines.rate
            protocol.enter(Phase.BODY, seconds, since=self._body_since)
            await protocol.receive_more()
            protocol.enter(Phase.ANSWER, protocol.response_timeout)
