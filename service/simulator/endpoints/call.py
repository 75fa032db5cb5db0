"""One call of a WeChat endpoint: what was sent, and how it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

import orjson
from sanic.response import HTTPResponse

from service.simulator.errcodes import Refusal, refusal
from service.simulator.faults.call_faults import CallFaults
from service.simulator.wire import API, Reply, error, http_date, request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.simulator.context import SimulatorRequest
    from service.simulator.wire import ReplyFormat

    Rules: TypeAlias = Callable[["Call"], dict[str, Any] | Refusal]
    """They do not await anything: of two calls with the same code, one is decided first."""


class Call:
    """What an endpoint's rules look at: the request, the accounts and the faults."""

    def __init__(self, request: SimulatorRequest, path: str) -> None:
        ctx = request.app.ctx
        self.path = path
        self.method = request.method
        self.query = dict(parse_qsl(request.query_string))
        self.body = request.body
        self.ip = request.ip
        self.world = ctx.world
        self.faults = CallFaults(ctx.faults, endpoint=path, host=request.headers.get("host", ""))
        self._request = request
        self._stats = ctx.stats

    def posted_object(self) -> dict[str, Any] | Refusal:
        """Return the JSON object in the body, whatever content type came with it."""
        if not self.body:
            return refusal(44002)
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return refusal(47001)
        return body if isinstance(body, dict) else refusal(47001)

    async def answer(
        self, rules: Rules, *, reply_format: ReplyFormat = API, code: str | None = None
    ) -> HTTPResponse | None:
        """Count the call, apply the rules and return what they decide, as far as faults let it.

        ``code`` is the single-use code that was sent, if any. None is returned when a fault
        has sent the answer itself; RequestCancelled leaves when one has ended the connection.
        """
        self._stats.arrived(self.path, code=code)
        is_over, response = await self.faults.on_arrival(self._request, self.world.rng)
        if is_over:
            return response
        now = self.world.clock() + self.faults.clock_skew()
        reply = self._decide(rules, reply_format, now)
        await self.faults.on_reply(self._request, reply)
        # WeChat answers 200 whatever the outcome.
        return HTTPResponse(
            reply.encode(), headers={"date": http_date(int(now))}, content_type=reply.content_type
        )

    def _decide(self, rules: Rules, reply_format: ReplyFormat, now: float) -> Reply:
        outcome = rules(self)
        if not isinstance(outcome, Refusal):
            self._stats.decided(self.path, errcode=0)
            return Reply(outcome, reply_format.content_type)
        self._stats.decided(self.path, errcode=outcome.errcode)
        rid = request_id(now=now, rng=self.world.rng)
        return Reply(error(outcome, reply_format, rid=rid), reply_format.content_type)
