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
    OpenidRefused,
    TokenSuperseded,
    WrongSecret,
)
from service.simulator.faults.replies import CutFault, ReplyFault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from sanic.response import HTTPResponse

    from service.simulator.faults.connection import AnyRequest
    from service.simulator.faults.fault import ActiveFaults, F
    from service.simulator.wire import Reply


class CallFaults:
    """Says of one call which faults strike it.

    Ask only where the call has come to the point at which the fault acts: asking counts
    as one of the calls that the fault applies to.
    """

    def __init__(self, active: ActiveFaults, *, endpoint: str, host: str) -> None:
        self._active = active
        self._endpoint = endpoint
        self._host = host

    async def on_arrival(
        self, request: AnyRequest, rng: random.Random
    ) -> tuple[bool, HTTPResponse | None]:
        """Let faults act before the call is looked at.

        The first value says whether the call is over. The second is what to answer then;
        None if the answer has been sent.
        """
        for fault in self._firing(ArrivalFault):
            response = await fault.act(request, rng)
            if fault.ends_call:
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
        return 40125 if fault is None else fault.errcode

    def supersedes(self, appid: str) -> bool:
        """Whether another caller has just replaced the app's token."""
        return any(self._firing(TokenSuperseded, lambda fault: fault.appid in (None, appid)))

    def entitles(self, appid: str) -> bool:
        """Whether the app has the permission to make the call."""
        return not any(self._firing(NotEntitled, lambda fault: fault.appid in (None, appid)))

    def refuses_openid(self, appid: str) -> bool:
        """Whether the call must not name the user."""
        return any(self._firing(OpenidRefused, lambda fault: fault.appid in (None, appid)))

    def clock_skew(self) -> int:
        """Return by how many seconds WeChat's clock is ahead."""
        return sum(fault.seconds for fault in self._firing(ClockSkew))

    async def on_reply(self, request: AnyRequest, reply: Reply) -> None:
        """Change the reply, or lose the connection: then RequestCancelled leaves."""
        for spoiler in self._firing(ReplyFault, lambda fault: fault.applies(reply)):
            spoiler.spoil(reply)
        for cutter in self._firing(CutFault, lambda fault: fault.applies(reply)):
            await cutter.cut(request, reply)

    def _firing(self, kind: type[F], when: Callable[[F], bool] = lambda _: True) -> Iterator[F]:
        return self._active.firing(kind, endpoint=self._endpoint, host=self._host, when=when)
