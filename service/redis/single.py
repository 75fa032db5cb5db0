"""The server behind one address, which may become another one.

A hosted Redis, or a proxy before several, keeps its address when a replica takes
over. The connections that were kept are to the former primary, a replica now:
it refuses changes for ever, and what it says of a session is old.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from service.core.throttled_log import ThrottledLog
from service.redis.errors import FAULTS, NotPrimary, code_word
from service.redis.refresher import TopologyRefresher
from service.redis.topology import DrainingNodes, Redirection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service.core.outage import Outage
    from service.redis.node import Node

_DEMOTED: Final = frozenset({"READONLY", "MASTERDOWN", "NOREPLICAS"})
"""Answers of a server that may have a successor at its address: a replica, or a primary that is
cut off from its replicas. With each of them it has refused the command before it did anything."""
_PAUSE_SECONDS: Final = 1.0
"""Between two pools: where the address leads to the same server again, waiting is all there is."""


class SinglePrimary:
    """A pool for one address, given up when its server turns out to be a primary no more."""

    def __init__(self, connect: Callable[[], Node], outage: Outage) -> None:
        """`connect` makes a node whose every connection is to a primary, or fails."""
        self._connect = connect
        self._notes = ThrottledLog("redis")
        self._node: Node | None = None
        self._renewed_at = -math.inf
        self._draining = DrainingNodes()
        self._refresher = TopologyRefresher(self.refresh, outage)

    def node_of(self, key: str) -> Node | None:  # noqa: ARG002 # one serves all
        """The only one, once it was asked for."""
        return self._node

    async def find_node(self, key: str) -> Node:  # noqa: ARG002
        """The only one."""
        if self._node is None:
            self._node = self._connect()
            self._refresher.refresh_soon()
        return self._node

    def on_fault(self, node: Node, fault: BaseException) -> Redirection | None:
        """Go to the address anew after an answer that somebody else may give otherwise by now."""
        self._refresher.refresh_soon()
        if code_word(fault) not in _DEMOTED or isinstance(fault, NotPrimary):
            return None
        if node is self._node:
            if time.monotonic() < self._renewed_at + _PAUSE_SECONDS:
                return None
            self._renew(f"answered {code_word(fault)}")
        return Redirection(self._node, asking=False) if self._node else None

    def nodes(self) -> Sequence[Node]:
        """The only one, once it was asked for."""
        return (self._node,) if self._node else ()

    async def aclose(self) -> None:
        """Stop looking and close every connection."""
        await self._refresher.aclose()
        for node in self.nodes():
            self._draining.add(node)
        await self._draining.aclose()

    async def refresh(self) -> None:
        """Look whether the server is a primary still, by a connection that is as old as the pool.

        When that one is lost, the others are given up with it: they may be to a
        server that nothing is known of any more.
        """
        node = self._node
        if node is not None:
            watched = node.is_watched
            try:
                await node.check_role()
            except FAULTS as fault:  # of a server that is away, those who ask it tell
                if watched and node is self._node:
                    self._renew("is a replica now" if isinstance(fault, NotPrimary) else "")
        await self._draining.close_idle()
        await self._draining.close_due()

    def _renew(self, why: str) -> None:
        if self._node is not None:
            self._draining.add(self._node)
        self._node = self._connect()
        self._renewed_at = time.monotonic()
        self._refresher.refresh_soon()
        if why:
            self._notes.warn("the server", f"{why}; its address is looked up anew")
