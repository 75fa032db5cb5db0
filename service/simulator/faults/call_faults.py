"""The faults that are on, as they bear on one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.simulator.faults.arrivals import ArrivalFault
from service.simulator.faults.decisions import (
    BlockedUser,
    ClockSkew,
    Errcode,
    IpWhitelist,
    NotEntitled,
    TokenSuperseded,
    WrongSecret,
)
from service.simulator.faults.replies import CutFault, ReplyFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest
    from service.simulator.faults.fault import ActiveFaults, F
    from service.simulator.wire import Reply

_WRONG_SECRET = 40125


class CallFaults:
    """Answers, for one call, whether a fault strikes it.

    Each question is asked at the point of the call where its fault would act, and only
    if the call gets that far: asking counts the call against the fault.
    """

    def __init__(self, active: ActiveFaults, *, endpoint: str, host: str) -> None:
        self._active = active
        self._endpoint = endpoint
        self._host = host

    async def on_arrival(self, request: SimulatorRequest) -> tuple[bool, HTTPResponse | None]:
        """Let faults act before the call is looked at.

        The first value tells whether the call is over; the second is what to answer then,
        None if that is done.
        """
        for fault in self._firing(ArrivalFault):
            response = await fault.act(request)
            if fault.ends:
                return True, response
        return False, None

    def admits(self, ip: str) -> bool:
        """Whether the caller's address is in the whitelist, or there is none."""
        return not any(self._firing(IpWhitelist, lambda fault: ip not in fault.ips))

    def blocks(self, user: str) -> bool:
        """Whether WeChat holds the user to be a risk."""
        return any(self._firing(BlockedUser, lambda fault: fault.user == user))

    def errcode(self) -> Errcode | None:
        """Return the refusal to give instead of success."""
        return next(self._firing(Errcode), None)

    def wrong_secret(self) -> int:
        """Return the errcode of a wrong AppSecret at the token endpoints."""
        fault = next(self._firing(WrongSecret), None)
        return _WRONG_SECRET if fault is None else fault.errcode

    def supersedes(self, appid: str) -> bool:
        """Whether another caller has just replaced the app's token."""
        return any(self._firing(TokenSuperseded, lambda fault: fault.appid in (None, appid)))

    def entitles(self, appid: str) -> bool:
        """Whether the app has the permission to make the call."""
        return not any(self._firing(NotEntitled, lambda fault: fault.appid in (None, appid)))

    def clock_skew(self) -> int:
        """Return by how many seconds WeChat's clock is ahead."""
        return sum(fault.seconds for fault in self._firing(ClockSkew))

    async def on_reply(self, request: SimulatorRequest, reply: Reply) -> None:
        """Change the reply, or lose the connection: then RequestCancelled leaves."""
        for spoiler in self._firing(ReplyFault, lambda fault: fault.applies(reply)):
            spoiler.spoil(reply)
        for cutter in self._firing(CutFault, lambda fault: fault.applies(reply)):
            await cutter.cut(request, reply)

    def _firing(self, kind: type[F], when: Callable[[F], bool] = lambda _: True) -> Iterator[F]:
        return self._active.firing(kind, endpoint=self._endpoint, host=self._host, when=when)
