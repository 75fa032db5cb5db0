"""The primaries of a Redis Cluster, by slot.

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

from service.config.redis_url import Node
from service.redis.node import Primary
from service.redis.refresher import Lookout, most_of
from service.redis.retirement import Retirement
from service.redis.topology import NoPrimary, Redirection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

    from service.stores.outage import OutageLog

_SLOTS: Final = 16384
_ADVISERS: Final = 5


class _Span(NamedTuple):
    """Slots in a row that one primary serves."""

    first: int
    last: int
    primary: Node


class _Layout(NamedTuple):
    """The cluster as one of its nodes sees it."""

    epoch: int
    """Counts the elections that the node has heard of: the higher, the newer its view."""
    healthy: bool
    spans: tuple[_Span, ...]
    nodes: tuple[Node, ...]
    """All that take part, replicas included."""


class ClusterPrimaries:
    """Finds primaries by the layout that most nodes asked agree is the newest."""

    def __init__(
        self,
        seeds: Sequence[Node],
        connect: Callable[[Node], Redis],
        scout: Callable[[Node], Redis],
        *,
        patience: float,
        outage: OutageLog,
    ) -> None:
        """`connect` makes the client that requests use, `scout` one that only asks for the layout.

        `patience`: seconds that the asking, and whoever waits for its outcome, may take.
        """
        self._seeds = tuple(seeds)
        self._connect = connect
        self._scout = scout
        self._patience = patience
        self._slots: list[Primary | None] = [None] * _SLOTS
        self._layout: _Layout | None = None
        self._patched = False
        self._astray = True
        """Nobody who was known has answered."""
        self._primaries: dict[Node, Primary] = {}
        self._serving: tuple[Primary, ...] = ()
        self._scouts: dict[Node, Redis] = {}
        self._taste = random.Random()  # noqa: S311 # spreads the workers over the nodes
        self._retirement = Retirement()
        self._lookout = Lookout(self._look, outage)

    def of(self, key: str) -> Primary | None:
        """The primary of the key's slot."""
        return self._slots[key_slot(key.encode())]

    async def find(self, key: str) -> Primary:
        """The same, after a look if need be; raises NoPrimary."""
        primary = self.of(key)
        if primary is None:
            await self._lookout.look(patience=self._patience)
            primary = self.of(key)
        if primary is None:
            raise NoPrimary
        return primary

    def failed(self, primary: Primary, fault: BaseException) -> Redirection | None:
        """Follow a redirection; and whatever the fault is, the layout may be another by now."""
        self._lookout.suspect()
        if not isinstance(fault, AskError):
            return None
        host = fault.host or next(n.host for n, p in self._primaries.items() if p is primary)
        target = self._primary_at(Node(host, fault.port))
        moved = isinstance(fault, MovedError)
        if moved:
            self._slots[fault.slot_id] = target
            self._patched = True
        return Redirection(target, asking=not moved)

    def all(self) -> Sequence[Primary]:
        """Those that serve slots."""
        return self._serving

    async def aclose(self) -> None:
        """Stop looking and close every connection."""
        await self._lookout.aclose()
        for primary in self._primaries.values():
            self._retirement.add(primary)
        await self._retirement.aclose()
        await self._dismiss(list(self._scouts))

    async def _look(self) -> None:
        advisers = self._advisers()
        questions = [self._ask(node) for node in advisers]
        layouts = await most_of(questions, seconds=self._patience)
        self._astray = not layouts
        if not layouts:
            raise NoPrimary
        newest = max(layouts, key=lambda layout: (layout.epoch, layout.healthy))
        outvoted = 2 * len(layouts) <= len(advisers)
        if self._layout and newest.epoch < self._layout.epoch and outvoted:
            return  # some that are cut off from the rest
        if self._patched or self._layout is None or newest.spans != self._layout.spans:
            self._adopt(newest)
        self._layout = newest
        await self._tidy()

    def _advisers(self) -> Sequence[Node]:
        """Whom to ask: the same ones while they are there, so that connections are kept."""
        known = self._layout.nodes if self._layout else ()
        if self._astray:
            return tuple(dict.fromkeys((*self._seeds, *known)))
        kept = [node for node in self._scouts if node in known][:_ADVISERS]
        others = [node for node in known if node not in kept]
        return kept + self._taste.sample(others, min(_ADVISERS - len(kept), len(others)))

    async def _ask(self, node: Node) -> _Layout:
        scout = self._scouts.get(node)
        if scout is None:
            scout = self._scouts[node] = self._scout(node)
        pipeline = scout.pipeline(transaction=False)
        pipeline.execute_command("CLUSTER SLOTS")
        pipeline.execute_command("CLUSTER INFO")
        return _layout(*(await pipeline.execute()), asked=node)

    def _adopt(self, layout: _Layout) -> None:
        slots: list[Primary | None] = [None] * _SLOTS
        for first, last, node in layout.spans:
            slots[first : last + 1] = [self._primary_at(node)] * (last + 1 - first)
        self._slots = slots
        self._patched = False
        self._serving = tuple({self._primaries[span.primary]: None for span in layout.spans})

    def _primary_at(self, node: Node) -> Primary:
        primary = self._primaries.get(node)
        if primary is None:
            primary = self._primaries[node] = Primary(self._connect(node), in_cluster=True)
        return primary

    async def _tidy(self) -> None:
        """Let go of whoever serves no slots and advises nobody any more."""
        for primary in self._primaries.values():
            if primary in self._serving:
                self._retirement.recall(primary)
            else:
                self._retirement.add(primary)
        closed = await self._retirement.close_due()
        self._primaries = {n: p for n, p in self._primaries.items() if p not in closed}
        known = self._layout.nodes if self._layout else ()
        await self._dismiss([node for node in self._scouts if node not in known])

    async def _dismiss(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            await self._scouts.pop(node).aclose()


def _layout(slots: Any, info: dict[str, str], *, asked: Node) -> _Layout:
    """Read what a node answered to CLUSTER SLOTS and CLUSTER INFO."""
    spans = []
    nodes: dict[Node, None] = {}
    for first, last, *holders in slots:
        primary, *replicas = (_node(holder, asked) for holder in holders)
        spans.append(_Span(int(first), int(last), primary))
        nodes |= dict.fromkeys((primary, *replicas))
    epoch, healthy = int(info["cluster_current_epoch"]), info["cluster_state"] == "ok"
    return _Layout(epoch, healthy, tuple(sorted(spans)), tuple(nodes))


def _node(holder: Any, asked: Node) -> Node:
    """A node that does not know its own address is where it was asked."""
    host = (holder[0] or b"").decode()
    return Node(host if host not in {"", "?"} else asked.host, int(holder[1]))
