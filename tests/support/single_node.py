"""A topology for tests of what stands before it: one node, and nowhere else to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.redis.node import Node
    from service.redis.topology import Redirection


class SingleNode:
    """Always the same node, whatever happens."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def node_of(self, key: str) -> Node:  # noqa: ARG002 # one serves all
        return self._node

    async def find_node(self, key: str) -> Node:  # noqa: ARG002
        return self._node

    def on_fault(self, node: Node, fault: BaseException) -> Redirection | None:  # noqa: ARG002
        return None

    def nodes(self) -> Sequence[Node]:
        return (self._node,)

    async def aclose(self) -> None:
        await self._node.aclose()
