"""Whose address a request has, by peer, X-Forwarded-For and what the operator said of proxies."""

from __future__ import annotations

import logging

import pytest
from sanic.compat import Header

from service.http import client_address as module
from service.http.info import Info
from tests.support.settings import make_settings

CLIENT = "203.0.113.7"
OTHER = "198.51.100.9"
PROXY = "10.0.0.1"


@pytest.fixture(autouse=True)
def not_warned() -> None:
    module._warn_once.cache_clear()


def seen(peer: str, *forwarded: str, **settings: object) -> str | None:
    headers = Header([("X-Forwarded-For", one) for one in forwarded])
    for liar in ("X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"):
        headers[liar] = OTHER
    return Info(make_settings(**settings), headers, peer).client_address


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (CLIENT, CLIENT),
        ("::ffff:203.0.113.7", CLIENT),
        ("2001:db8:1:2ff:3:4:5:6", "2001:db8:1:200::/56"),
        ("2001:db8:1:2ff::", "2001:db8:1:200::/56"),
        # A proxy's, it seems; everybody behind it would be one.
        *((one, None) for one in ("127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1")),
        *((one, None) for one in ("100.64.0.1", "fd00::1", "fe80::1%eth0", "::ffff:10.1.2.3", "")),
    ],
)
def test_without_proxies_it_is_the_peers_unless_that_is_a_proxy(
    peer: str, address: str | None
) -> None:
    assert seen(peer) == address
    assert seen(peer, OTHER, f"{OTHER}, {OTHER}") == address, "nobody's X-Forwarded-For is believed"


@pytest.mark.bar("D9")
@pytest.mark.parametrize(
    ("entry", "address"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:5678", CLIENT),
        (f"[{CLIENT}]:80", CLIENT),
        ("[2001:db8:1:2ff::9]:443", "2001:db8:1:200::/56"),
        ("[2001:db8:1:2ff::9]", "2001:db8:1:200::/56"),
        ("2001:db8:1:2ff::9", "2001:db8:1:200::/56"),
        ("2001:DB8:1:2ff:0:0:0:9%25eth0", "2001:db8:1:200::/56"),
        ("::ffff:203.0.113.7", CLIENT),
        (f"  {CLIENT}\t", CLIENT),
        ("192.168.7.7", "192.168.7.7"),  # in an intranet, whose proxy says so
        *((one, None) for one in ("", "unknown", "_hidden", "-", "1.2.3", "1.2.3.4.5", "01.2.3.4")),
        *((one, None) for one in ("1.2.3.4:", "1.2.3.4:123456", "[::1", "::1]", "[]:80", "[x]")),
        *((one, None) for one in ("1.2.3.4 x", "1.2.3.4\r\nx", "\x1b[31m", "\udcff", "１.2.3.4")),
        *((one, None) for one in ("٣.2.3.4", "2001:db8::1::2", "1" * 5000, "%s%n", "a" * 64)),
    ],
)
def test_behind_a_proxy_it_is_what_that_added(entry: str, address: str | None) -> None:
    assert seen(PROXY, entry, proxies_count=1) == address
    assert seen(PROXY, f"{OTHER}, {OTHER}:80, junk,{entry}", proxies_count=1) == address
    assert seen(PROXY, OTHER, entry, proxies_count=1) == address, "in a line of its own"
    assert seen("", entry, proxies_count=1) == address, "over a Unix socket"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (f"{CLIENT}, 10.0.0.2", CLIENT),
        (f"{OTHER}, {CLIENT}, 10.0.0.2", CLIENT),
        # Whoever asks the inner proxy directly is known by what that says; the rest is their own.
        (f"{OTHER}, {CLIENT}", CLIENT),
        (CLIENT, CLIENT),
        # An inner proxy that says nothing readable ends the chain.
        (f"{OTHER}, unknown", None),
        ("10.0.0.2", None),
        ("", None),
    ],
)
def test_of_two_proxies_the_outer_one_is_asked_if_the_inner_one_was(
    forwarded: str, address: str | None
) -> None:
    assert seen(PROXY, forwarded, proxies_count=2) == address


@pytest.mark.bar("D9")
def test_whoever_is_no_proxy_is_not_believed() -> None:
    assert seen(CLIENT, OTHER, proxies_count=1) == CLIENT
    assert seen(PROXY, OTHER, proxies_count=1, trusted_proxies="192.0.2.0/24") == PROXY
    assert seen("192.0.2.1", CLIENT, proxies_count=1, trusted_proxies="192.0.2.0/24") == CLIENT


def test_a_back_end_that_asks_for_itself_has_none() -> None:
    assert seen(PROXY, proxies_count=1) is None


def test_a_proxy_that_was_not_announced_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    seen("127.0.0.1")  # a newcomer with curl
    assert not caplog.messages
    for _ in range(3):
        seen(PROXY, f"{CLIENT} \x1b[31m")
    assert len(caplog.messages) == 1
    assert "PROXIES_COUNT" in caplog.text
    assert CLIENT not in caplog.text
