"""Addresses of several servers: what is taken, and what is refused without being shown."""

from __future__ import annotations

from urllib.parse import quote

import certifi
import pytest
from redis.asyncio import ConnectionPool

from service.config.redis_url import HostPort, RedisAddress, place_of


def parsed(url: str) -> RedisAddress:
    address = RedisAddress.parse(url)
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis://h:1/2", {"host": "h", "port": 1, "db": 2}),
        ("redis://:@h/", {"host": "h"}),
        ("redis://[::1]:7000/15/", {"host": "::1", "port": 7000, "db": 15}),
        ("redis://user:p%2F%3Fss@h", {"username": "user", "password": "p/?ss", "host": "h"}),
        ("redis://:raw@sign:and:more@h", {"password": "raw@sign:and:more", "host": "h"}),
        (
            "rediss://:pw@ec2-1-2-3-4.compute-1.amazonaws.com:17270",
            {"password": "pw", "host": "ec2-1-2-3-4.compute-1.amazonaws.com", "port": 17270},
        ),
        (
            f"rediss://h?ssl_ca_certs={quote(certifi.where())}",
            {"host": "h", "ssl_ca_certs": certifi.where()},
        ),
        ("unix:///run/redis.sock", {"path": "/run/redis.sock"}),
        ("unix:///run/a@b.sock?db=3", {"path": "/run/a@b.sock", "db": 3}),
        ("unix://user:pw@/redis.sock", {"username": "user", "password": "pw"}),
    ],
)
def test_a_single_server_is_left_to_the_driver_which_reads_it_likewise(
    url: str, read: dict[str, object]
) -> None:
    assert RedisAddress.parse(url) is None
    understood = ConnectionPool.from_url(url).connection_kwargs
    assert {name: understood[name] for name in read} == read


def test_a_cluster_is_known_by_some_of_its_nodes() -> None:
    address = parsed("rediss+cluster://user:p%40ss%2F@one:7000,two,[::1]:7001,two:6379/")
    assert address.hosts == (HostPort("one", 7000), HostPort("two", 6379), HostPort("::1", 7001))
    assert (address.kind, address.tls) == ("cluster", True)
    assert (address.username, address.password) == ("user", "p@ss/")
    assert not parsed("redis+cluster://one").tls


def test_sentinels_name_a_primary_and_a_database_of_it() -> None:
    address = parsed("redis+sentinel://:secret@one,two:26380/my-master.1/3")
    assert address.hosts == (HostPort("one", 26379), HostPort("two", 26380))
    assert (address.kind, address.master, address.database) == ("sentinel", "my-master.1", 3)
    assert (address.username, address.password) == (None, "secret")
    assert parsed("redis+sentinel://one/main").database == 0


@pytest.mark.parametrize("url", ["rediss+cluster://h", "rediss+sentinel://h/main/2"])
def test_several_servers_may_have_an_authority_of_their_own(url: str) -> None:
    address = parsed(f"{url}?ssl_ca_certs={quote(certifi.where())}")
    assert address.tls
    assert address.tls_files == (("ssl_ca_certs", certifi.where()),)
    assert (address.hosts[0].host, address.database) == ("h", 2 * ("sentinel" in url))


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
        "redis://",
        "redis://:canary@",
        "redis://canary:0",
        "redis://canary:65536",
        "redis://canary:port",
        "redis://canary,two",
        "redis://canary two",
        "redis://h:6379/canary",
        "redis://h:6379/1/canary",
        "redis://h:6379#canary",
        "unix://canary",
        "unix://canary/redis.sock",
        "unix:///redis.sock?db=canary",
        "unix:///redis.sock?socket_timeout=canary",
        "unix://:can/ary@/redis.sock",
    ],
)
def test_what_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="must ") as refusal:
        RedisAddress.parse(url)
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "scheme",
    ["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"],
)
@pytest.mark.parametrize("mark", "/?#")
def test_a_password_that_would_be_read_in_part_is_to_be_encoded(scheme: str, mark: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded") as refusal:
        RedisAddress.parse(f"{scheme}://:canary{mark}canary@127.0.0.1:6379/0")
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("mark", ["[", "]", "[x]", "\N{FULLWIDTH QUESTION MARK}"])
def test_a_password_that_the_driver_would_show_is_to_be_encoded(mark: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded") as refusal:
        RedisAddress.parse(f"redis://:canary{mark}canary@127.0.0.1:6379/0")
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "parameters",
    [
        "canary",
        "foo=canary",
        "db=1",
        "socket_timeout=9",
        "decode_responses=1",
        "ssl_cert_reqs=none",
        "ssl_check_hostname=false",
        "ssl_ca_certs=/etc/hosts&ssl_cert_reqs=none",
    ],
)
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_parameters_cannot_override_the_settings(scheme: str, parameters: str) -> None:
    with pytest.raises(ValueError, match="REDIS_TLS_VERIFY") as refusal:
        RedisAddress.parse(f"{scheme}://h:6379/0?{parameters}")
    assert "canary" not in str(refusal.value)


def test_certificates_are_for_tls_and_must_be_there() -> None:
    with pytest.raises(ValueError, match=r"no \?parameters but ssl_ca_certs"):
        RedisAddress.parse(f"redis://h?ssl_ca_certs={quote(certifi.where())}")
    with pytest.raises(ValueError, match="files that are there") as refusal:
        RedisAddress.parse("rediss://h?ssl_ca_certs=/canary.pem")
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:canary@host", "host:6379"),
        ("rediss://:canary@[::1]:7000/3?ssl_ca_certs=" + __file__, "::1:7000"),
        ("unix://:c@nary@/run/redis.sock?db=1", "/run/redis.sock"),
        ("redis+cluster://:canary@a,b:7001", "a:6379,b:7001"),
        ("redis+sentinel://:canary@a,b:7001/main/2", "a:26379,b:7001"),
    ],
)
def test_the_log_shows_where_it_leads_and_no_password(url: str, place: str) -> None:
    assert place_of(url) == place
