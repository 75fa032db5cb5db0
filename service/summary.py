"""What a service finds at its start, said once: Redis, database, apps, what is a stand-in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from service.config.settings import WECHAT_HOSTS
from service.sql.description import describe

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.redis.client import RedisClient
    from service.sql.database import SqlDatabase

log = logging.getLogger(__name__)

_TOPOLOGIES: Final = {
    "SinglePrimary": "one address",
    "SentinelTopology": "a primary that sentinels name",
    "ClusterTopology": "a cluster",
}


async def say_what_is_there(
    settings: Settings,
    redis: RedisClient,
    database: SqlDatabase,
    *,
    redis_place: str,
    database_place: str,
) -> None:
    """Log it, without credentials; what does not answer is said to be so. Raises nothing.

    It takes a few seconds where something is away, so nothing should wait for it.
    """
    log.info("redis: %s", await _redis(redis), extra={"where": redis_place})
    log.info("database: %s", await describe(database), extra={"where": database_place})
    apps = ", ".join(settings.apps)
    hosts = ", ".join(settings.wechat_api_base)
    stand_in = "" if settings.wechat_api_base == WECHAT_HOSTS else ", a stand-in"
    log.info("wechat: %s%s, for %s", hosts, stand_in, apps)
    log.info("avatars: %s", settings.avatar_store)


async def _redis(redis: RedisClient) -> str:
    topology = _TOPOLOGIES.get(type(redis.topology).__name__, "")
    health = await redis.health()
    servers = await redis.servers()
    if not health.available:
        return f"{topology}, does not answer: {health.reason}"
    versions = ", ".join(sorted({one.version for one in servers.values()}))
    ailing = f", {health.reason}" if health.reason else ""
    nodes = len(redis.topology.nodes())
    count = f" of {nodes} primaries" if nodes > 1 else ""
    return f"version {versions or 'not told'}, {topology}{count}{ailing}"
