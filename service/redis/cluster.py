"""The nodes of a Redis Cluster, by slot.

The driver has a cluster client too. Not used: a burst ends with "too many
connections" where its pools should wait, CLUSTERDOWN and every fifth MOVED
close the connections of all nodes, busy or not, and a command and its WAIT
cannot be kept on one connection.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from service.config.redis_url import HostPort
from service.redis.errors import NoNode, driver_calls
from service.redis.pipeline import close
from service.redis.refresher import TopologyRefresher, majority_of
from service.redis.topology import DrainingNodes, Redirection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from service.core.outage import Outage
    from service.redis.node import Node

_SLOTS: Final = 16384
_ASKED_AT_ONCE: Final = 5


class _SlotRange(NamedTuple):
    """Slots in a row that one node serves."""

    first: int
    last: int
    address: HostPort


class _Layout(NamedTuple):
    """The cluster as one of its nodes sees it."""

    epoch: int
    """Counts the elections that the node has heard of: the higher, the newer its view."""
    healthy: bool
    ranges: tuple[_SlotRange, ...]
    addresses: tuple[HostPort, ...]
    """Of all that take part, replicas included."""


class ClusterTopology:
    """Finds nodes by the layout that most of those asked agree is the newest."""

    def __init__(
        self,
        seeds: Sequence[HostPort],
        connect: Callable[[HostPort], Node],
        connect_probe: Callable[[HostPort], Redis],
        *,
        timeout: float,
        outage: Outage,
    ) -> None:
        """`connect` makes the nodes that requests use; a probe only asks for the layout.

        `timeout`: seconds that the asking, and whoever waits for its outcome, may take.
        """
        self._seeds = tuple(seeds)
        self._connect = connect
        self._connect_probe = connect_probe
        self._timeout = timeout
        self._slots: list[Node | None] = [None] * _SLOTS
        self._layout: _Layout | None = None
        self._redirected = False
        """A redirection has changed the slots since the layout was applied."""
        self._unanswered = True
        """No node has answered the last refresh."""
        self._nodes: dict[HostPort, Node] = {}
        self._serving: tuple[Node, ...] = ()
        self._probes: dict[HostPort, Redis] = {}
        self._random = random.Random()  # noqa: S311 # spreads the workers over the nodes
        self._draining = DrainingNodes()
        self._refresher = TopologyRefresher(self.refresh, outage)

    def node_of(self, key: str) -> Node | None:
        """The node of the key's slot."""
        return self._slots[key_slot(key.encode())]

    async def find_node(self, key: str) -> Node:
        """The same, after a refresh if need be; raises NoNode."""
        node = self.node_of(key)
        if node is None:
            await self._refresher.refresh(timeout=self._timeout)
            node = self.node_of(key)
        if node is None:
            raise NoNode from self._refresher.fault
        return node

    def on_fault(self, node: Node, fault: BaseException) -> Redirection | None:
        """Follow a redirection. After any fault the layout is refreshed: it may have changed."""
        self._refresher.refresh_soon()
        if not isinstance(fault, AskError):
            return None
        target = self._node_at(HostPort(_host(fault.host, node.host), fault.port))
        moved = isinstance(fault, MovedError)
        if moved:
            self._slots[fault.slot_id] = target
            self._redirected = True
        return Redirection(target, asking=not moved)

    def nodes(self) -> Sequence[Node]:
        """Those that serve slots."""
        return self._serving

    @property
    def open_nodes(self) -> Mapping[HostPort, Node]:
        """Those that serve slots, and former ones that are not closed yet."""
        return self._nodes

    async def aclose(self) -> None:
        """Stop refreshing and close every connection."""
        await self._refresher.aclose()
        for node in self._nodes.values():
            self._draining.add(node)
        await self._draining.aclose()
        await self._close_probes(list(self._probes))

    async def refresh(self) -> None:
        """Ask for the layout and apply it; raises NoNode when nobody answers."""
        asked = self._to_ask()
        self._unanswered = True
        layouts = await majority_of(
            [self._ask(address) for address in asked], timeout=self._timeout
        )
        self._unanswered = not layouts
        if not layouts:
            raise NoNode
        newest = max(layouts, key=lambda layout: (layout.epoch, layout.healthy))
        minority = 2 * len(layouts) <= len(asked)
        if self._layout and newest.epoch < self._layout.epoch and minority:
            return  # some that are cut off from the rest
        if self._redirected or self._layout is None or newest.ranges != self._layout.ranges:
            self._apply(newest)
        self._layout = newest
        await self._close_unused()

    def _to_ask(self) -> Sequence[HostPort]:
        """The nodes to ask: the same as before while they are there, to keep the connections."""
        known = self._layout.addresses if self._layout else ()
        if self._unanswered:
            return tuple(dict.fromkeys((*self._seeds, *known)))
        kept = [address for address in self._probes if address in known][:_ASKED_AT_ONCE]
        others = [address for address in known if address not in kept]
        return kept + self._random.sample(others, min(_ASKED_AT_ONCE - len(kept), len(others)))

    async def _ask(self, address: HostPort) -> _Layout:
        probe = self._probes.get(address)
        if probe is None:
            probe = self._probes[address] = self._connect_probe(address)
        with driver_calls:
            pipeline = probe.pipeline(transaction=False)
            pipeline.execute_command("CLUSTER SLOTS")
            pipeline.execute_command("CLUSTER INFO")
            slots, info = await pipeline.execute()
        return _layout(slots, info, asked=address)

    def _apply(self, layout: _Layout) -> None:
        slots: list[Node | None] = [None] * _SLOTS
        for first, last, address in layout.ranges:
            slots[first : last + 1] = [self._node_at(address)] * (last + 1 - first)
        self._slots = slots
        self._redirected = False
        self._serving = tuple({self._nodes[one.address]: None for one in layout.ranges})

    def _node_at(self, address: HostPort) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._connect(address)
        return node

    async def _close_unused(self) -> None:
        """Close nodes that serve no slots any more, and probes of nodes that have left."""
        for node in self._nodes.values():
            if node in self._serving:
                self._draining.remove(node)
            else:
                self._draining.add(node)
        closed = await self._draining.close_due()
        self._nodes = {address: n for address, n in self._nodes.items() if n not in closed}
        known = self._layout.addresses if self._layout else ()
        await self._close_probes([address for address in self._probes if address not in known])

    async def _close_probes(self, addresses: Sequence[HostPort]) -> None:
        for address in addresses:
            await close(self._probes.pop(address))


def _layout(slots: Any, info: dict[str, str], *, asked: HostPort) -> _Layout:
    """Read what a node answered to CLUSTER SLOTS and CLUSTER INFO."""
    ranges = []
    addresses: dict[HostPort, None] = {}
    for first, last, *holders in slots:
        primary, *replicas = (_address(holder, asked) for holder in holders)
        ranges.append(_SlotRange(int(first), int(last), primary))
        addresses |= dict.fromkeys((primary, *replicas))
    epoch, healthy = int(info["cluster_current_epoch"]), info["cluster_state"] == "ok"
    return _Layout(epoch, healthy, tuple(sorted(ranges)), tuple(addresses))


def _address(holder: Any, asked: HostPort) -> HostPort:
    return HostPort(_host((holder[0] or b"").decode(), asked.host), int(holder[1]))


def _host(told: str, asked: str) -> str:
    """A node that does not know its address, or its name, is where it was asked."""
    return asked if told in {"", "?"} else told
