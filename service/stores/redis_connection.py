"""The connection to Redis, set up so that it fails fast and never mixes up replies.

redis-py 8.1 needs three things said:

* `MaintNotificationsConfig(enabled=False)`: its default switches off the check
  that a connection out of the pool has no unread bytes, and a stray reply would
  be handed to the next caller (redis/redis-py#4252).
* time-outs and an asyncio `Retry`, on the pool: a client from a URL has none.
* a bounded, blocking pool, waited for no longer than for a reply: more
  connections than a dozen only add latency, and hosted plans count them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.maint_notifications import MaintNotificationsConfig

if TYPE_CHECKING:
    from service.settings import Settings


def connect(settings: Settings) -> Redis:
    """A client for REDIS_URL; it connects when first used. The caller closes it."""
    if settings.redis_url is None:
        raise ValueError("REDIS_URL is not set")
    url = settings.redis_url.get_secret_value()
    timeout = settings.redis_timeout_ms / 1000
    tls: dict[str, Any] = {}
    if url.startswith("rediss://"):
        checked = settings.redis_tls_verify == "required"
        tls = {"ssl_cert_reqs": "required" if checked else "none", "ssl_check_hostname": checked}
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=settings.redis_max_connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 1),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        driver_info=None,
        **tls,
    )
    return Redis.from_pool(pool)
