"""Whom a request comes from, as far as proxies in front can be believed."""

from __future__ import annotations

import logging
import re
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from service.config.settings import Settings

log = logging.getLogger(__name__)

_Address: TypeAlias = IPv4Address | IPv6Address

_LOOPBACK: Final = "127.0.0.1"
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}", re.ASCII)
_LONGEST: Final = 64
"""Characters of an address with a port."""
_NETWORK_BITS: Final = 56
"""What a customer has of IPv6, or more; the rest is theirs to vary (docs/limits.md)."""


def client_address(settings: Settings, peer: str, forwarded: Sequence[str]) -> str | None:
    """The client's IPv4 address or IPv6 network of 56 bits; None where it cannot be told.

    It is what the outermost of PROXIES_COUNT proxies added to X-Forwarded-For.
    Only TRUSTED_PROXIES are believed, so whoever goes around a proxy is known by
    the address they come from. What a client wrote there itself is never looked
    at, nor is any other header.

    `peer`: whose connection it is, "" on a Unix socket. `forwarded`: each X-Forwarded-For.
    """
    proxies = settings.proxies_count
    for passed, hop in enumerate(_hops(peer, forwarded, proxies)):
        key, is_trusted = _judged(hop, settings.trusted_proxies)
        if not is_trusted or passed == proxies > 0:
            return key
    # A proxy or a back end of the operator's asks, and does not say for whom.
    if proxies == 0 and (settings.production or forwarded):
        _warn_once()
    return None


def _hops(peer: str, forwarded: Sequence[str], proxies: int) -> Iterator[str]:
    """The peer, and then whom each proxy, from the nearest on, was asked by."""
    yield peer or _LOOPBACK  # a peer on a Unix socket has no address
    if proxies:
        added = ",".join(forwarded).rsplit(",", proxies)
        for entry in reversed(added[-proxies:]):
            # Cut off, what is too long is too long still, and takes no room in the cache.
            yield entry.strip(" \t")[: _LONGEST + 1]


@lru_cache(maxsize=4096)
def _judged(text: str, trusted: tuple[str, ...]) -> tuple[str | None, bool]:
    """What a limit counts this address by, and whether it is in one of the `trusted` networks."""
    address = _parse(text)
    return _key(address), _is_trusted(address, trusted)


def _parse(text: str) -> _Address | None:
    """Read an address, with a port or without; None for anything else."""
    if len(text) > _LONGEST:
        return None
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # without a zone
    return address


def _key(address: _Address | None) -> str | None:
    """What a limit counts by."""
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), _NETWORK_BITS), strict=False))
    return str(address) if address else None


def _is_trusted(address: _Address | None, networks: tuple[str, ...]) -> bool:
    return address is not None and any(address in ip_network(one) for one in networks)


@cache
def _warn_once() -> None:
    log.warning(
        "requests come by a proxy, so limits per address are not kept: set PROXIES_COUNT"
        " (and TRUSTED_PROXIES, if it is in no private network)"
    )
