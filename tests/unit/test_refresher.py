"""Looking again and again which servers there are, and ceasing to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from service.core.outage import Outage
from service.redis.refresher import TopologyRefresher


async def test_it_ends_though_its_cancellation_is_swallowed() -> None:
    """As by `asyncio.wait_for` before Python 3.12, when it is just done: redis-py sends by that."""
    asked = 0
    asking = asyncio.Event()

    async def refresh() -> None:
        nonlocal asked
        asked += 1
        asking.set()
        with suppress(*([asyncio.CancelledError] if asked == 1 else [])):
            await asyncio.get_running_loop().create_future()

    refresher = TopologyRefresher(refresh, Outage("redis"))
    refresher.refresh_soon()
    await asking.wait()
    async with asyncio.timeout(3):
        await refresher.aclose()
    assert asked == 1
