"""The short way of `/verify`: a 200 from the bytes that came, without a request of Sanic's.

It is the question that is asked most, before every request of every back end, and
two thirds of what it cost were Sanic's reading and writing of HTTP (docs/adr/0032).
Only a live session is answered here. Everything else goes the ordinary way, as if
nobody had looked.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sanic.http import Stage

from service.core.errors import SessionStoreUnavailable
from service.core.models import Session
from service.http.check import read_check
from service.http.deadlines import Phase, TimedProtocol, Wait
from service.http.info import usable_request_id
from service.http.middleware import say_access
from service.http.routes.verify import ADDRESS, CONTENT_TYPE, caller_headers
from service.metrics.series import requests

if TYPE_CHECKING:
    from service.core.ports import Glance
    from service.http.check import Check

_IDLE: Final = Stage.IDLE
_LONGEST_LOOK: Final = 2.0
"""Seconds; no store takes as long."""


def _answer_with(connection: str) -> str:
    """The 200 in Sanic's words, with a %s for whatever differs."""
    nobody = Session("", "%s", "%s", "%s", "", "%s", 0, 0, "", "")
    headers = {
        **caller_headers(nobody, "%s"),
        "X-Session-Expires-In": "%s",
        "content-length": "0",
        "connection": connection,
        "content-type": CONTENT_TYPE,
    }
    lines = (f"{name}: {value}" for name, value in headers.items())
    return "\r\n".join(("HTTP/1.1 200 OK", *lines, "", ""))


_ANSWERS: Final = {True: _answer_with("keep-alive"), False: _answer_with("close")}
"""By whether the connection stays."""
_ANSWERED: Final = requests.short_way


class ShortWayProtocol(TimedProtocol):
    """Sanic's connection, which answers a plain `/verify` by itself."""

    __slots__ = ("_context", "_fault", "_is_traced", "_look")

    def __init__(self, **sanics: Any) -> None:
        super().__init__(**sanics)
        self._context = self.app.ctx
        self._is_traced = self._context.settings.tracing
        """Then each request is to have a span, and only those of Sanic's have."""
        self._look: Check | None = None
        """The request whose session is being looked up; it came at `_time`."""
        self._fault: SessionStoreUnavailable | None = None

    @property
    def wait(self) -> Wait:
        """What it is at."""
        if self._look is not None:
            return Wait(Phase.ANSWER, self._time, math.inf)
        return super().wait

    def look(self, now: float) -> bool:
        """See whether its time is over; a look that the store has forgotten is given up."""
        forgotten = self._look
        if forgotten is not None and now >= self._time + _LONGEST_LOOK:
            self._look = None
            super().data_received(forgotten.data)
        return super().look(now)

    def take_fault(self) -> SessionStoreUnavailable | None:
        """Why the store could not be asked for the request of the moment: it is not asked again."""
        fault, self._fault = self._fault, None
        return fault

    def data_received(self, data: bytes) -> None:
        """Answer the short way, or have Sanic do it."""
        self._fault = None
        if self._look is not None:
            # Who does not wait for the answer has both answered the ordinary way.
            data = self._look.data + data
            self._look = None
        elif self._is_free and self._begin(data):
            return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was asked."""
        self._look = None
        super().connection_lost(exc)  # type: ignore[no-untyped-call]

    @property
    def _is_free(self) -> bool:
        """Whether nothing is under way, neither a request nor the end."""
        http = self._http
        if http is None:
            # Of a connection whose request came with it, the task has not begun to run.
            is_idle = self._task is not None
        else:
            is_idle = http.stage is _IDLE and http.request is None
        return (
            is_idle
            and not self._is_traced
            and not self.recv_buffer
            and self._wait is None
            and not self.is_told_to_go
            and not self.is_sending
        )

    def _begin(self, data: bytes) -> bool:
        """Look the session up, if this is a request for that; returns whether so."""
        context = self._context
        look = read_check(data, with_skey=context.settings.wafer_compat)
        if look is None:
            return False
        self._time = time.monotonic()
        self._look = look
        if context.services.sessions.glance(look.session_id, partial(self._told, look)):
            return True
        self._look = None
        return False

    def _told(self, look: Check, found: Glance) -> None:
        if look is not self._look:
            return  # the client is gone, or has sent more
        self._look = None
        if self.transport.is_closing():  # type: ignore[union-attr]
            return  # it was cut, and does not know yet
        if isinstance(found, Session) and self._answer(look, found):
            return
        if isinstance(found, SessionStoreUnavailable):
            self._fault = found
        super().data_received(look.data)

    def _answer(self, look: Check, session: Session) -> bool:
        """Write the 200; False, and nothing, where a header cannot say it as it is."""
        user_id, openid, appid = session.user_id, session.openid, session.appid
        unionid = session.unionid or ""
        words = user_id + openid + appid + unionid
        if not (words.isascii() and words.isprintable()):
            return False
        request_id = usable_request_id(look.request_id)
        keep_alive = look.keep_alive and not self.is_told_to_go
        expires_in = session.expires_in
        answer = _ANSWERS[keep_alive] % (user_id, openid, appid, unionid, expires_in, request_id)
        came = self._time
        self._write(answer.encode())
        self._http.answered = True
        self.state["requests_count"] += 1
        _ANSWERED.observe(self._time - came)  # the time is that of the writing by now
        context = self._context
        context.short_answers += 1
        if context.settings.access_log:
            say_access(request_id, look.method, ADDRESS, 200, since=came)
        if not keep_alive:
            self.close()
        return True
