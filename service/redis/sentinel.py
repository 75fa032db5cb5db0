"""The primary that sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import ReadOnlyError

from service.config.redis_url import Node
from service.redis.node import Primary
from service.redis.refresher import Lookout, most_of
from service.redis.retirement import Retirement
from service.redis.topology import NoPrimary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

    from service.stores.outage import OutageLog


class _Nomination(NamedTuple):
    """The primary in the eyes of one sentinel."""

    epoch: int
    """Of the failover that made it the primary: the higher, the newer."""
    node: Node


class SentinelPrimaries:
    """Follows the newest nomination among those of most sentinels."""

    def __init__(
        self,
        sentinels: Sequence[Redis],
        name: str,
        connect: Callable[[Node], Redis],
        *,
        patience: float,
        outage: OutageLog,
    ) -> None:
        """`connect` makes a client whose every connection is to a primary, or fails.

        `patience`: seconds that the asking, and whoever waits for its outcome, may take.
        """
        self._sentinels = sentinels
        self._name = name
        self._connect = connect
        self._patience = patience
        self._nominated: _Nomination | None = None
        self._primary: Primary | None = None
        self._retirement = Retirement()
        self._lookout = Lookout(self._look, outage)

    def of(self, key: str) -> Primary | None:  # noqa: ARG002 # one serves all
        """The primary of the moment."""
        return self._primary

    async def find(self, key: str) -> Primary:  # noqa: ARG002
        """The same, after a look if need be; raises NoPrimary."""
        if self._primary is None:
            await self._lookout.look(patience=self._patience)
        if self._primary is None:
            raise NoPrimary
        return self._primary

    def failed(self, primary: Primary, fault: BaseException) -> None:
        """Ask the sentinels again. One that only reads has been demoted: speak to it no more.

        Its other connections are from before as well and would go on to read
        from what is a replica now; new ones look whom they meet.
        """
        if isinstance(fault, ReadOnlyError) and primary is self._primary:
            self._retirement.add(primary)
            self._primary = None
        self._lookout.suspect()

    def all(self) -> Sequence[Primary]:
        """The primary of the moment, if any."""
        return (self._primary,) if self._primary else ()

    async def aclose(self) -> None:
        """Stop looking and close every connection."""
        await self._lookout.aclose()
        for primary in self.all():
            self._retirement.add(primary)
        await self._retirement.aclose()
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _look(self) -> None:
        questions = [self._ask(sentinel) for sentinel in self._sentinels]
        nominations = await most_of(questions, seconds=self._patience)
        if not nominations:
            raise NoPrimary
        newest = max(nominations)
        outvoted = 2 * len(nominations) <= len(self._sentinels)
        if self._nominated and newest.epoch < self._nominated.epoch and outvoted:
            return  # some that are cut off from the rest
        if self._primary is None or self._nominated is None or newest.node != self._nominated.node:
            for former in self.all():
                self._retirement.add(former)
            self._primary = Primary(self._connect(newest.node))
        self._nominated = newest
        await self._retirement.close_due()

    async def _ask(self, sentinel: Redis) -> _Nomination:
        # The former has the promoted one at once, the latter the epoch of that.
        pipeline = sentinel.pipeline(transaction=False)
        pipeline.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self._name)
        pipeline.execute_command("SENTINEL MASTER", self._name)
        (host, port), state = await pipeline.execute()
        return _Nomination(int(state["config-epoch"]), Node(host.decode(), int(port)))
