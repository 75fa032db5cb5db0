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

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from service.config.redis_url import HostPort, RedisAddress
from service.redis.client import RedisClient
from service.redis.cluster import ClusterTopology
from service.redis.node import Node, check_primary
from service.redis.sentinel import SentinelTopology
from service.redis.single import SinglePrimary
from service.redis.tls import TlsConnection

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from service.config.settings import Settings
    from service.core.outage import Outage
    from service.redis.topology import Topology


def open_client(settings: Settings, outage: Outage) -> RedisClient:
    """What REDIS_URL means: one server, sentinels or a cluster. The caller closes it.

    Call it on the event loop that it is to serve; it connects when first used.
    """
    return RedisClient(
        _topology(settings, outage),
        timeout=_call_timeout(settings),
        outage=outage,
        replicas=settings.session_confirm_replicas,
        prefix=settings.redis_prefix,
    )


def connect(settings: Settings) -> Redis:
    """A client for the REDIS_URL of one server; it connects when first used."""
    url = _url(settings)
    tls = _tls(settings) if url.startswith("rediss://") else {}
    options = {**_options(settings), **tls, "redis_connect_func": _to_no_replica}
    pool = BlockingConnectionPool.from_url(url, **options)
    if tls:
        pool.connection_class = TlsConnection  # from_url has its own idea of it
    return Redis.from_pool(pool)


def _topology(settings: Settings, outage: Outage) -> Topology:
    address = RedisAddress.parse(_url(settings))
    if address is None:
        return SinglePrimary(
            lambda: Node(connect(settings), timeout=_call_timeout(settings)), outage
        )
    timeout = settings.redis_timeout_ms / 1000
    if address.kind == "cluster":
        return ClusterTopology(
            address.hosts,
            partial(_node, settings, address),
            partial(_client, settings, address, max_connections=1),
            timeout=timeout,
            outage=outage,
        )
    # They have users of their own, and often none.
    password = settings.redis_sentinel_password
    sentinels = replace(
        address,
        username=settings.redis_sentinel_username,
        password=password.get_secret_value() if password else None,
    )
    return SentinelTopology(
        [_client(settings, sentinels, host, max_connections=1) for host in address.hosts],
        address.master,
        partial(
            _node, settings, address, db=address.database, redis_connect_func=_only_to_a_primary
        ),
        timeout=timeout,
        outage=outage,
    )


def _node(settings: Settings, address: RedisAddress, host: HostPort, **more: Any) -> Node:
    return Node(
        _client(settings, address, host, **more),
        host=host.host,
        timeout=_call_timeout(settings),
        in_cluster=address.kind == "cluster",
    )


def _client(settings: Settings, address: RedisAddress, host: HostPort, **more: Any) -> Redis:
    who = {"username": address.username, "password": address.password}
    tls: dict[str, Any] = {}
    if address.tls:
        tls = {"connection_class": TlsConnection, **_tls(settings), **dict(address.tls_files)}
    options = {**_options(settings), **who, **tls, **more}
    return Redis.from_pool(BlockingConnectionPool(host=host.host, port=host.port, **options))


def _call_timeout(settings: Settings) -> float:
    # Two attempts' worth, for a read and for a write: no caller waits longer.
    return 2 * settings.redis_timeout_ms / 1000


def _options(settings: Settings) -> dict[str, Any]:
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
    """Greet the server, and refuse one that has become a replica: its data may be old."""
    await connection.on_connect()
    await _check_role(connection)


async def _to_no_replica(connection: AbstractConnection) -> None:
    """The same; but take one that does not say what it is: a proxy, or a user that may not ask."""
    await connection.on_connect()
    with suppress(ResponseError):
        await _check_role(connection)


async def _check_role(connection: AbstractConnection) -> None:
    await connection.send_command("ROLE", check_health=False)
    check_primary(await connection.read_response())
