"""Notices that a Redis server was restarted, with which sessions may be gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.redis.client import RedisClient

log = logging.getLogger(__name__)


class Restarts:
    """Remembers the run id of each server, which a new process of it does not have."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._run_ids: dict[str, str] = {}

    async def look(self) -> None:
        """Ask each server for its run id; raises nothing."""
        for address, server in (await self._client.servers()).items():
            former = self._run_ids.get(address)
            self._run_ids[address] = server.run_id
            if former not in (None, server.run_id):
                log.warning(
                    "redis: restarted, or another server answers at its address: sessions from"
                    " before are gone where it keeps nothing on disk",
                    extra={"where": address, "version": server.version, "run_id": server.run_id},
                )
