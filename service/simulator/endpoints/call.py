"""One call of a WeChat endpoint, with the faults that strike it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sanic.response import HTTPResponse

from service.simulator.errcodes import Refusal
from service.simulator.faults.arrivals import ArrivalFault
from service.simulator.faults.circumstances import (
    BlockedUser,
    ClockSkew,
    Errcode,
    IpWhitelist,
    NotEntitled,
    TokenSuperseded,
    WrongSecret,
)
from service.simulator.faults.conditions import Normal
from service.simulator.faults.replies import CutFault, ReplyFault
from service.simulator.wire import Reply, error, http_date, request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.simulator.context import SimulatorContext, SimulatorRequest
    from service.simulator.faults.board import F
    from service.simulator.faults.conditions import Conditions, Injection
    from service.simulator.wire import Family

    Rules: TypeAlias = Callable[[SimulatorRequest, Conditions], "dict[str, Any] | Refusal"]
    """They do not wait, so that of two equal calls one comes first."""

_NORMAL = Normal()


@dataclass(slots=True)
class Call:
    """Asks the fault board on behalf of one request."""

    ctx: SimulatorContext
    endpoint: str
    host: str

    def _firing(self, kind: type[F], when: Callable[[F], bool] = lambda _: True) -> Iterator[F]:
        return self.ctx.board.firing(kind, endpoint=self.endpoint, host=self.host, when=when)

    async def find_or_create(self, request: SimulatorRequest) -> tuple[bool, HTTPResponse | None]:
        """Suffer what strikes at arrival. The first value tells whether the call is over."""
        for fault in self._firing(ArrivalFault):
            response = await fault.act(request)
            if fault.ends:
                return True, response
        return False, None

    def admits(self, ip: str) -> bool:
        """Whether no whitelist keeps the address out."""
        return not any(self._firing(IpWhitelist, lambda fault: ip not in fault.ips))

    def blocks(self, user: str) -> bool:
        """Whether a fault has the user blocked."""
        return any(self._firing(BlockedUser, lambda fault: fault.user == user))

    def injection(self) -> Injection | None:
        """Return the refusal to give instead of success."""
        for fault in self._firing(Errcode):
            return fault.injection()
        return None

    def wrong_secret(self) -> int:
        """Return the errcode of a wrong AppSecret at the token endpoints."""
        for fault in self._firing(WrongSecret):
            return fault.errcode
        return _NORMAL.wrong_secret()

    def supersedes(self, appid: str) -> bool:
        """Whether a fault voids the app's token."""
        return any(self._firing(TokenSuperseded, lambda fault: fault.appid in (None, appid)))

    def entitles(self, appid: str) -> bool:
        """Whether no fault denies the app the permission."""
        return not any(self._firing(NotEntitled, lambda fault: fault.appid in (None, appid)))

    def now(self) -> float:
        """Return the time WeChat believes it is."""
        return self.ctx.world.clock() + sum(fault.seconds for fault in self._firing(ClockSkew))

    async def answer(self, request: SimulatorRequest, reply: Reply, now: float) -> HTTPResponse:
        """Send the reply, unless a fault spoils or loses it."""
        for spoiler in self._firing(ReplyFault, lambda fault: fault.applies(reply)):
            spoiler.spoil(reply)
        for cutter in self._firing(CutFault, lambda fault: fault.applies(reply)):
            await cutter.cut(request, reply)
        return to_response(reply, now=now)


async def respond(
    request: SimulatorRequest,
    endpoint: str,
    rules: Rules,
    *,
    family: Family,
    code: str | None = None,
) -> HTTPResponse | None:
    """Count the call, apply the rules and send what they decide, as far as the faults let it."""
    ctx = request.app.ctx
    ctx.stats.arrived(endpoint, code=code)
    if ctx.board.is_quiet:
        now = ctx.world.clock()
        reply = _decide(ctx, endpoint, rules(request, _NORMAL), family, now)
        return to_response(reply, now=now)

    call = Call(ctx, endpoint, request.headers.get("host", ""))
    is_over, response = await call.find_or_create(request)
    if is_over:
        return response
    now = call.now()
    reply = _decide(ctx, endpoint, rules(request, call), family, now)
    return await call.answer(request, reply, now)


def _decide(
    ctx: SimulatorContext,
    endpoint: str,
    outcome: dict[str, Any] | Refusal,
    family: Family,
    now: float,
) -> Reply:
    """Count the outcome and return it as it is worded."""
    if isinstance(outcome, Refusal):
        ctx.stats.decided(endpoint, errcode=outcome.errcode)
        outcome = error(outcome, family, rid=request_id(now=now, rng=ctx.world.rng))
    else:
        ctx.stats.decided(endpoint, errcode=0)
    return Reply(outcome, family.content_type)


def to_response(reply: Reply, *, now: float) -> HTTPResponse:
    """Return the reply as the framework sends it; WeChat answers 200 whatever the outcome."""
    return HTTPResponse(
        reply.encode(), headers={"date": http_date(int(now))}, content_type=reply.content_type
    )
