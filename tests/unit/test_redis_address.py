"""Addresses of several servers: what is taken, and what is refused without being shown."""

from __future__ import annotations

import pytest

from service.redis_address import Node, RedisAddress


def parsed(url: str) -> RedisAddress:
    address = RedisAddress.parse(url)
    assert address is not None
    return address


@pytest.mark.parametrize("url", ["redis://h:1/2", "rediss://u:p@h", "unix:///redis.sock"])
def test_a_single_server_is_left_to_the_driver(url: str) -> None:
    assert RedisAddress.parse(url) is None


def test_a_cluster_is_known_by_some_of_its_nodes() -> None:
    address = parsed("rediss+cluster://user:p%40ss%2F@one:7000,two,[::1]:7001,two:6379/")
    assert address.nodes == (Node("one", 7000), Node("two", 6379), Node("::1", 7001))
    assert (address.kind, address.tls) == ("cluster", True)
    assert (address.username, address.password) == ("user", "p@ss/")
    assert not parsed("redis+cluster://one").tls


def test_sentinels_name_a_primary_and_a_database_of_it() -> None:
    address = parsed("redis+sentinel://:secret@one,two:26380/my-master.1/3")
    assert address.nodes == (Node("one", 26379), Node("two", 26380))
    assert (address.kind, address.master, address.database) == ("sentinel", "my-master.1", 3)
    assert (address.username, address.password) == (None, "secret")
    assert parsed("redis+sentinel://one/main").database == 0


def test_a_password_is_not_shown() -> None:
    assert "canary" not in repr(parsed("redis+cluster://:canary@one"))


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster:///",
        "redis+cluster://canary/1",
        "redis+cluster://canary,,two",
        "redis+cluster://canary:0",
        "redis+cluster://canary:65536",
        "redis+cluster://canary:port",
        "redis+cluster://canary two",
        "redis+cluster://canary?ssl=true",
        "redis+cluster://canary@one",
        "redis+cluster://canary:@one",
        "redis+sentinel://canary",
        "redis+sentinel://canary/",
        "redis+sentinel://canary/main/x",
        "redis+sentinel://canary/main/1/2",
        "redis+sentinel:///main",
    ],
)
def test_what_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="must ") as refusal:
        RedisAddress.parse(url)
    assert "canary" not in str(refusal.value)
