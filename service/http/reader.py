"""Reading requests: Sanic's way, but within their time and with no doubt where a body ends.

Sanic rewrites methods of its own classes when it starts. Those here replace
whole methods, and call Sanic's own whichever way they are (docs/adr/0022).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sanic.exceptions import BadRequest, PayloadTooLarge, SanicException
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE

from service.http.answer_count import count_answer
from service.http.chunks import ChunkedBody
from service.http.deadlines import Phase, Wait

if TYPE_CHECKING:
    from sanic.response import BaseHTTPResponse

    from service.http.deadlines import TimedProtocol

_SKIPPED: Final = 4 * 1024 * 1024
"""Bytes that are read of a body which nobody wants, so that its sender gets to see the answer."""


class Reader(Http):
    """What reads the requests of one connection, one after the other."""

    __slots__ = ("_chunks", "_is_pipelined", "_phase", "_since", "answered")

    protocol: TimedProtocol
    request_bytes: int
    request_bytes_left: int

    def __init__(self, protocol: TimedProtocol) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]
        self.answered = False  # whether any request was
        self._phase: Phase | None = None  # in which more of this request was last waited for
        self._since = 0.0
        self._chunks: ChunkedBody | None = None
        self._is_pipelined = False

    def init_for_request(self) -> None:
        """Be ready for the next request, which may have come already."""
        super().init_for_request()  # type: ignore[no-untyped-call]
        self._is_pipelined = bool(self.recv_buffer)
        self.perft0 = None  # that of the request before; a head that is wrong gets none

    async def http1_request_header(self) -> None:
        """Read a head. Whoever has sent many requests at once has others served in between.

        And takes the answers: until then the next request is not looked at.
        """
        if self._is_pipelined:
            await asyncio.sleep(0)
        if self.protocol.is_sending:
            await self.protocol.until_taken()
        await super().http1_request_header()  # type: ignore[no-untyped-call]

    def respond(self, response: BaseHTTPResponse) -> BaseHTTPResponse:
        """Begin an answer. Whoever still waits for leave to send a body does not get it."""
        self.answered = True
        self._phase = None
        if self.response is None:  # else it is another one for the same request
            count_answer(self.request, response, began=self.perft0)
        # What was sent behind it is served.
        if self.protocol.is_told_to_go and not self.recv_buffer:
            self.keep_alive = False
        if self.expecting_continue:
            self.expecting_continue = self.keep_alive = False
        if self.request_body and self._is_ignored and not self._has_body:
            # It may never come, and the next request be taken for it.
            self.keep_alive = False
        return super().respond(response)

    @property
    def _is_ignored(self) -> bool:
        """Whether its route has no use for a body, and does not wait for one."""
        route = self.request.route
        return route is not None and bool(route.extra.ignore_body)

    @property
    def _has_body(self) -> bool:
        """Whether all of it has come."""
        if not self._is_chunked:
            return len(self.recv_buffer) >= self.request_bytes_left
        body = ChunkedBody()
        with suppress(BadRequest):
            body.take(self.recv_buffer[2:])  # behind the line break that Sanic leaves
        return body.complete

    def wait_for_more(self) -> Wait:
        """How long more of a request may be waited for, of its head or of its body."""
        deadlines = self.protocol.deadlines
        if self.request is None:
            phase, seconds = Phase.HEAD, deadlines.head
        elif self.stage is Stage.IDLE:
            phase, seconds = Phase.REST, deadlines.rest
        else:
            come = self.request_bytes - self.request_bytes_left
            phase, seconds = Phase.BODY, deadlines.body + come / deadlines.rate
        if phase is not self._phase:
            self._phase, self._since = phase, self.protocol.last_moved
        return Wait(phase, self._since, seconds)

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
            if self.request.version != "1.0":  # RFC 9110, 10.1.1
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
            await self._receive_more()
        content = self._chunks.take(self.recv_buffer)
        self.request_bytes += len(content)
        if self.request_bytes > self.request_max_size:
            raise PayloadTooLarge("Request body exceeds the size limit")
        if self._chunks.complete:
            self.request_body = self._chunks = None
        return content
