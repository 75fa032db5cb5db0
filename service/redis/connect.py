"""The connections to Redis, set up so that they fail fast and never mix up replies.

redis-py 8.1 needs three things said:

* `MaintNotificationsConfig(enabled=False)`: its default switches off the check
  that a connection out of the pool has no unread bytes, and a stray reply would
  be handed to the next caller (redis/redis-py#4252).
* time-outs and an asyncio `Retry`, on the pool: a client from a URL has none.
* a bounded, blocking pool, waited for no longer than for a reply: more
  connections than a dozen only add latency, and hosted plans count them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from service.config.redis_url import Node, RedisAddress
from service.redis.client import Keyspace
from service.redis.cluster import ClusterPrimaries
from service.redis.node import Primary
from service.redis.sentinel import SentinelPrimaries
from service.redis.topology import OnePrimary

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from service.config.settings import Settings
    from service.redis.topology import Primaries
    from service.stores.outage import OutageLog


def open_keyspace(settings: Settings, outage: OutageLog) -> Keyspace:
    """What REDIS_URL means: one server, sentinels or a cluster. The caller closes it.

    It connects when first used, on the event loop of that moment.
    """
    # Two attempts' worth, for a read and for a write: no caller waits longer.
    budget = 2 * settings.redis_timeout_ms / 1000
    return Keyspace(
        _primaries(settings, outage), budget=budget, replicas=settings.session_confirm_replicas
    )


def connect(settings: Settings) -> Redis:
    """A client for the REDIS_URL of one server; it connects when first used."""
    url = _url(settings)
    tls = _tls(settings) if url.startswith("rediss://") else {}
    return Redis.from_pool(BlockingConnectionPool.from_url(url, **_habits(settings), **tls))


def _primaries(settings: Settings, outage: OutageLog) -> Primaries:
    address = RedisAddress.parse(_url(settings))
    if address is None:
        return OnePrimary(Primary(connect(settings)))
    patience = settings.redis_timeout_ms / 1000
    client = partial(_client, settings, address)
    if address.kind == "cluster":
        scout = partial(client, max_connections=1)
        return ClusterPrimaries(address.nodes, client, scout, patience=patience, outage=outage)
    return SentinelPrimaries(
        [
            _client(settings, RedisAddress("sentinel", ()), node, max_connections=1)
            for node in address.nodes
        ],
        address.master,
        partial(client, db=address.database, redis_connect_func=_only_to_a_primary),
        patience=patience,
        outage=outage,
    )


def _client(settings: Settings, address: RedisAddress, node: Node, **more: Any) -> Redis:
    who = {"username": address.username, "password": address.password}
    tls = {"connection_class": SSLConnection, **_tls(settings)} if address.tls else {}
    options = {**_habits(settings), **who, **tls, **more}
    return Redis.from_pool(BlockingConnectionPool(host=node.host, port=node.port, **options))


def _habits(settings: Settings) -> dict[str, Any]:
    timeout = settings.redis_timeout_ms / 1000
    return {
        "max_connections": settings.redis_max_connections,
        "timeout": timeout,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 1),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "driver_info": None,
    }


def _tls(settings: Settings) -> dict[str, Any]:
    checked = settings.redis_tls_verify == "required"
    return {"ssl_cert_reqs": "required" if checked else "none", "ssl_check_hostname": checked}


def _url(settings: Settings) -> str:
    if settings.redis_url is None:
        raise ValueError("REDIS_URL is not set")
    return settings.redis_url.get_secret_value()


async def _only_to_a_primary(connection: AbstractConnection) -> None:
    """Greet the server, and hang up on one that has become a replica: it answers old news."""
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    role = await connection.read_response()
    if role[0] != b"master":
        raise RedisConnectionError("not a primary")
