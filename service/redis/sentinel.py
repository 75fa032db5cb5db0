"""The primary that sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from service.config.redis_url import HostPort
from service.redis.errors import NoNode, code_word, driver_calls
from service.redis.pipeline import close
from service.redis.refresher import TopologyRefresher, majority_of
from service.redis.topology import DrainingNodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

    from service.core.outage import Outage
    from service.redis.node import Node


_DEMOTED: Final = frozenset({"READONLY", "MASTERDOWN"})


class _Nomination(NamedTuple):
    """The primary in the eyes of one sentinel."""

    epoch: int
    """Of the failover that made it the primary: the higher, the newer."""
    address: HostPort


class SentinelTopology:
    """Follows the newest nomination among those of most sentinels."""

    def __init__(
        self,
        sentinels: Sequence[Redis],
        name: str,
        connect: Callable[[HostPort], Node],
        *,
        timeout: float,
        outage: Outage,
    ) -> None:
        """`name`: what the sentinels call the primary.

        `connect` makes a node whose every connection is to a primary, or fails.
        `timeout`: seconds that the asking, and whoever waits for its outcome, may take.
        """
        self._sentinels = sentinels
        self._name = name
        self._connect = connect
        self._timeout = timeout
        self._nominated: _Nomination | None = None
        self._node: Node | None = None
        self._draining = DrainingNodes()
        self._refresher = TopologyRefresher(self.refresh, outage)

    def node_of(self, key: str) -> Node | None:  # noqa: ARG002 # one serves all
        """The primary of the moment."""
        return self._node

    async def find_node(self, key: str) -> Node:  # noqa: ARG002
        """The same, after a refresh if need be; raises NoNode."""
        if self._node is None:
            await self._refresher.refresh(timeout=self._timeout)
        if self._node is None:
            raise NoNode from self._refresher.fault
        return self._node

    def on_fault(self, node: Node, fault: BaseException) -> None:
        """Ask the sentinels again. A node that refuses writes was demoted: use it no more.

        Its other connections are from before, too, and would go on to read from
        what is a replica now. New connections look at the server's role.
        """
        if code_word(fault) in _DEMOTED and node is self._node:
            self._draining.add(node)
            self._node = None
        self._refresher.refresh_soon()

    def nodes(self) -> Sequence[Node]:
        """The primary of the moment, if any."""
        return (self._node,) if self._node else ()

    async def aclose(self) -> None:
        """Stop refreshing and close every connection."""
        await self._refresher.aclose()
        for node in self.nodes():
            self._draining.add(node)
        await self._draining.aclose()
        for sentinel in self._sentinels:
            await close(sentinel)

    async def refresh(self) -> None:
        """Ask who is the primary and turn to it; raises NoNode when nobody answers."""
        questions = [self._ask(sentinel) for sentinel in self._sentinels]
        nominations = await majority_of(questions, timeout=self._timeout)
        if not nominations:
            raise NoNode
        newest = max(nominations)
        minority = 2 * len(nominations) <= len(self._sentinels)
        if self._nominated and newest.epoch < self._nominated.epoch and minority:
            return  # some that are cut off from the rest
        changed = self._nominated is None or newest.address != self._nominated.address
        if self._node is None or changed:
            for former in self.nodes():
                self._draining.add(former)
            self._node = self._connect(newest.address)
        self._nominated = newest
        await self._draining.close_due()

    async def _ask(self, sentinel: Redis) -> _Nomination:
        # The first names a promoted server at once, the second has its epoch.
        with driver_calls:
            pipeline = sentinel.pipeline(transaction=False)
            pipeline.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self._name)
            pipeline.execute_command("SENTINEL MASTER", self._name)
            (host, port), state = await pipeline.execute()
        return _Nomination(int(state["config-epoch"]), HostPort(host.decode(), int(port)))
