"""Which server takes writes for a key; one Redis, sentinels and a cluster each know it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.redis.node import Node

_DRAIN_SECONDS: Final = 5.0
"""Longer than any call, with all its attempts, takes."""


class Redirection(NamedTuple):
    """Where a server said that a key is."""

    node: Node
    asking: bool
    """Whether to say ASKING first: the key is there ahead of its slot."""


class Topology(Protocol):
    """Knows the nodes that take writes. Reads go to them too, for replicas lag behind."""

    def node_of(self, key: str) -> Node | None:
        """The node of a key; None while it is not known."""
        ...

    async def find_node(self, key: str) -> Node:
        """The same, waiting a moment for it to be known; raises NoNode."""
        ...

    def on_fault(self, node: Node, fault: BaseException) -> Redirection | None:
        """Hear that a call of `node` failed; says where to go instead, if the fault tells."""
        ...

    def nodes(self) -> Sequence[Node]:
        """Every node that takes writes."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class DrainingNodes:
    """Nodes that take writes no more: their calls under way end before they are closed."""

    def __init__(self) -> None:
        self._due: dict[Node, float] = {}

    def add(self, node: Node) -> None:
        """Have it closed later; one that is here already keeps its time."""
        self._due.setdefault(node, time.monotonic() + _DRAIN_SECONDS)

    def remove(self, node: Node) -> None:
        """Keep it open: it is needed again."""
        self._due.pop(node, None)

    async def close_idle(self) -> None:
        """Close at once what no call is under way on."""
        for node in tuple(self._due):  # more may come meanwhile
            await node.close_idle()

    async def close_due(self) -> list[Node]:
        """Close those whose time has come; returns them."""
        now = time.monotonic()
        due = [node for node, at in self._due.items() if at <= now]
        await self._close(due)
        return due

    async def aclose(self) -> None:
        """Close all."""
        await self._close(list(self._due))

    async def _close(self, nodes: list[Node]) -> None:
        for node in nodes:
            del self._due[node]
            await node.aclose()
