"""Who may call WeChat next, where more want to than may: each client has a fair share.

Turns are those of fq_codel (RFC 8290) with a client for a flow: one that has no
call under way comes first, the others follow in a circle, one call each. So
whoever has hundreds of calls waiting keeps nobody waiting but themselves.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, deque
from contextvars import Context
from typing import TYPE_CHECKING, Final

from service.core.errors import RateLimited, WeChatBusy

if TYPE_CHECKING:
    from service.core.errors import ServiceError
    from service.core.throttled_log import ThrottledLog

LIMIT: Final = "wechat_share_per_client"
WAIT_SECONDS: Final = 0.5
REFUSED_CODE_SECONDS: Final = 1.0

_CLIENTS: Final = 4
"""As many can have all places between them; a fifth still has its turn."""
_UNKNOWN: Final = ""
_SHOWN_BITS: Final = {4: 24, 6: 48}


class FairShare:
    """Places for calls under way at once.

    A client is an address or an openid. Those who are not known are one client,
    to whom every place is open: they may be everybody.
    """

    def __init__(self, places: int, log: ThrottledLog) -> None:
        """`log` is told of calls that get no place."""
        self._places = self._free = places
        self._share = max(1, places // _CLIENTS)
        self._log = log
        self._taken: Counter[str] = Counter()
        self._new: dict[str, deque[asyncio.Future[None]]] = {}
        """Who waits with no place taken, in the order of their coming."""
        self._others: dict[str, deque[asyncio.Future[None]]] = {}
        """Who waits besides, in the order of their turns."""

    @property
    def use(self) -> tuple[int, int]:
        """How many places are taken, and how many there are."""
        return self._places - self._free, self._places

    def place(self, client: str | None) -> _Place:
        """A place for one call, `async with`; waited for half a second at most.

        Raises RateLimited where the client has its share already, WeChatBusy
        where all places are taken.
        """
        return _Place(self, client or _UNKNOWN)

    async def enter(self, name: str) -> None:
        """Take a place, or raise as `place` says."""
        if self._free and self._may(name):
            self._take(name)
        else:
            await self._wait(name)

    def exit(self, name: str) -> None:
        """Give the place back."""
        self._free += 1
        self._give_back(name)

    def penalise(self, client: str | None) -> None:
        """Keep one place of the client's share, though of nobody else's, for a second.

        Whoever brings codes that WeChat refuses brings no more a second than the
        share has places.
        """
        if client:
            self._taken[client] += 1
            loop = asyncio.get_running_loop()
            loop.call_later(REFUSED_CODE_SECONDS, self._give_back, client, context=Context())

    def _may(self, name: str) -> bool:
        return name == _UNKNOWN or self._taken[name] < self._share

    def _take(self, name: str) -> None:
        self._free -= 1
        self._taken[name] += 1

    def _give_back(self, name: str) -> None:
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]
        while self._free and (following := self._following()) is not None:
            line = self._new.pop(following, None) or self._others.pop(following)
            turn = line.popleft()
            if line:
                self._others[following] = line
            self._take(following)
            turn.set_result(None)

    def _following(self) -> str | None:
        """Whose turn it is."""
        newcomer = next(iter(self._new), None)
        if newcomer is not None:
            return newcomer
        # Few are passed over: it takes places to have one's share.
        return next((name for name in self._others if self._may(name)), None)

    async def _wait(self, name: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        lines = self._others if name in self._others or self._taken[name] else self._new
        lines.setdefault(name, deque()).append(turn)
        try:
            await asyncio.wait((turn,), timeout=WAIT_SECONDS)
        except asyncio.CancelledError:
            if turn.done():  # it came at this very moment
                self._free += 1
                self._give_back(name)
            else:
                self._leave(name, turn)
            raise
        if not turn.done():
            self._leave(name, turn)
            raise self._refusal(name)

    def _leave(self, name: str, turn: asyncio.Future[None]) -> None:
        lines = self._new if name in self._new else self._others
        lines[name].remove(turn)
        if not lines[name]:
            del lines[name]

    def _refusal(self, name: str) -> ServiceError:
        if self._may(name):
            self._log.failed("a call", f"no place came free in {WAIT_SECONDS} s")
            return WeChatBusy()
        self._log.failed(
            f"a call of {shown_client(name)}", f"it has its share of {self._share} places"
        )
        refusal = RateLimited(LIMIT, retry_after=1)
        refusal.data = {"limit": LIMIT, "retry": "same_code"}
        return refusal


class _Place:
    """A class, because that is faster than a generator, and around every call."""

    __slots__ = ("_name", "_share")

    def __init__(self, share: FairShare, name: str) -> None:
        self._share = share
        self._name = name

    async def __aenter__(self) -> None:
        await self._share.enter(self._name)

    async def __aexit__(self, *_: object) -> None:
        self._share.exit(self._name)


def shown_client(client: str) -> str:
    """A client as the log may have it: an address less its last part is nobody's in particular."""
    try:
        network = ipaddress.ip_interface(client).network
    except ValueError:
        return "a user"
    return str(network.supernet(new_prefix=_SHOWN_BITS[network.version]))
