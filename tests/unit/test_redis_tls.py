"""Connections to Redis share a TLS context: to make one reads all that the machine trusts."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import certifi
import pytest

from service.config.redis_url import HostPort, RedisAddress
from service.redis.connect import _client, connect
from tests.support.settings import make_settings

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from redis.asyncio import Redis


@pytest.fixture
def authority(tmp_path: Path) -> str:
    return str(shutil.copy(certifi.where(), tmp_path))


def contexts(client: Redis, count: int) -> list[ssl.SSLContext]:
    """Those that so many new connections would use."""
    pool: Any = client.connection_pool
    return [pool.make_connection().ssl_context.get() for _ in range(count)]


def single(url: str, **more: object) -> Redis:
    return connect(make_settings(redis_url=url, **more))


def test_all_connections_of_a_pool_share_one() -> None:
    assert len({id(one) for one in contexts(single("rediss://one"), 16)}) == 1


def test_those_of_all_nodes_of_a_cluster_share_one() -> None:
    address = RedisAddress.parse("rediss+cluster://one")
    assert address is not None
    settings = make_settings()
    clients = [_client(settings, address, HostPort(host, 6379)) for host in ("one", "two")]
    assert len({id(one) for client in clients for one in contexts(client, 2)}) == 1


def test_who_trusts_something_else_has_another(authority: str) -> None:
    [checks] = contexts(single("rediss://one"), 1)
    [trusts] = contexts(single("rediss://one", redis_tls_verify="none"), 1)
    [knows] = contexts(single(f"rediss://one?ssl_ca_certs={authority}"), 1)
    assert len({id(one) for one in (checks, trusts, knows)}) == 3
    assert (checks.check_hostname, trusts.check_hostname) == (True, False)


def test_a_file_that_is_renewed_is_read_again(authority: str) -> None:
    client = single(f"rediss://one?ssl_ca_certs={authority}")
    before = contexts(client, 2)
    os.utime(authority, (1, 1))
    after = contexts(client, 2)
    assert before[0] is before[1] is not after[0] is after[1]
