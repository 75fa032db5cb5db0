"""WeChat's error codes and the words it puts with them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

STEMS = {
    -1: "system error",
    40002: "invalid grant_type",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    40226: "code blocked",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    42003: "oauth_code expired",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    48001: "api unauthorized",
    50002: "user limited",
}
"""Text by code, without the request id that ends it on the wire."""

NO_KNOWN_TEXT = "unknown error"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An outcome other than success."""

    errcode: int
    stem: str


def refusal(errcode: int) -> Refusal:
    """Return the refusal with the text WeChat uses for the code, where that is known."""
    return Refusal(errcode, STEMS.get(errcode, NO_KNOWN_TEXT))


def foreign_ip(address: str) -> Refusal:
    """Return 40164, which names the caller's address in both notations."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        v4, v6 = str(ip.ipv4_mapped or ip), address
    else:
        v4, v6 = address, f"::ffff:{address}"
    return Refusal(40164, f"invalid ip {v4} ipv6 {v6}, not in whitelist")
