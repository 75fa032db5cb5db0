"""One call of a WeChat endpoint, with the faults that strike it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanic.response import HTTPResponse

from service.simulator.faults.arrivals import ArrivalFault
from service.simulator.faults.circumstances import BlockedUser, ClockSkew, Errcode, IpWhitelist
from service.simulator.faults.replies import CutFault, ReplyFault
from service.simulator.wire import http_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.simulator.context import SimulatorContext, SimulatorRequest
    from service.simulator.faults.board import F
    from service.simulator.jscode2session import Injection
    from service.simulator.wire import Reply


@dataclass(slots=True)
class Call:
    """Asks the fault board on behalf of one request."""

    ctx: SimulatorContext
    endpoint: str
    host: str

    def _firing(self, kind: type[F], when: Callable[[F], bool] = lambda _: True) -> Iterator[F]:
        return self.ctx.board.firing(kind, endpoint=self.endpoint, host=self.host, when=when)

    async def arrive(self, request: SimulatorRequest) -> tuple[bool, HTTPResponse | None]:
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


def to_response(reply: Reply, *, now: float) -> HTTPResponse:
    """Return the reply as the framework sends it; WeChat answers 200 whatever the outcome."""
    return HTTPResponse(
        reply.encode(), headers={"date": http_date(int(now))}, content_type=reply.content_type
    )
