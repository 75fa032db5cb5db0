"""Reads of one moment go to Redis together: one batch per server, and none waits for another's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from service.core.errors import SessionStoreUnavailable
from service.redis.read_lane import ReadLane

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from service.redis.client import Keyspace
    from service.redis.node import Primary
    from service.redis.read_lane import Reading
    from service.stores.outage import OutageLog


class BatchReader:
    """Has a lane to each primary."""

    def __init__(self, redis: Keyspace, *, with_ttl: bool, outage: OutageLog) -> None:
        self._redis = redis
        self._of = redis.primaries.of
        self._with_ttl = with_ttl
        self._outage = outage
        self._lanes: dict[Primary, ReadLane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def read(self, key: str) -> Awaitable[Reading]:
        """Raises SessionStoreUnavailable when Redis does not answer in time."""
        primary = self._of(key)
        return self._read_at(primary, key) if primary else self._read_found(key)

    async def aclose(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _read_at(self, primary: Primary, key: str) -> Awaitable[Reading]:
        lane = self._lanes.get(primary) or self._open(primary)
        return lane.read(key)

    async def _read_found(self, key: str) -> Reading:
        return await self._read_at(await self._find(key), key)

    async def _find(self, key: str) -> Primary:
        try:
            return await self._redis.primaries.find(key)
        except Exception as fault:
            self._outage.failed("read", fault)
            raise SessionStoreUnavailable from fault

    def _open(self, primary: Primary) -> ReadLane:
        # The lanes of former primaries go; those who wait in one are answered all the same.
        serving = self._redis.primaries.all()
        self._lanes = {one: lane for one, lane in self._lanes.items() if one in serving}
        lane = self._lanes[primary] = ReadLane(
            self._redis,
            primary,
            with_ttl=self._with_ttl,
            outage=self._outage,
            tasks=self._tasks,
        )
        return lane
