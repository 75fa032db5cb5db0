"""Redis servers that take writes no more."""

from __future__ import annotations

import asyncio
from typing import Any

from service.redis.topology import DrainingNodes


class Slow:
    """A node whose connections take a moment to close."""

    def __init__(self) -> None:
        self.idle_closed = False

    async def close_idle(self) -> None:
        await asyncio.sleep(0)
        self.idle_closed = True


async def test_one_may_be_added_while_connections_of_others_are_closed() -> None:
    """As when a request finds out meanwhile that a server is a replica now."""
    draining, first, second = DrainingNodes(), Slow(), Slow()
    nodes: list[Any] = [first, second]
    draining.add(nodes[0])
    closing = asyncio.create_task(draining.close_idle())
    await asyncio.sleep(0)
    draining.add(nodes[1])
    await closing
    assert first.idle_closed
