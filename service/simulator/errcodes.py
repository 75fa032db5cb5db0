"""WeChat's error codes and the words it puts with them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

_TEXTS = {
    -1: "system error",
    40001: (
        "invalid credential, access_token is invalid or not latest, could get access_token by "
        "getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r"
    ),
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40125: "invalid appsecret",
    40129: "invalid scene",
    40163: "code been used",
    40226: "code blocked",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    42001: "access_token expired",
    42003: "oauth_code expired",
    43001: "require GET method",
    43002: "require POST method",
    43003: "require https",
    44002: "empty post data",
    45002: "content size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
    50002: "user limited",
    50004: "user not allow to use accesstoken, maybe for punishment",
    61010: "code is expired",
    87007: "session_key is not existd or expired",  # as WeChat spells it
    87008: "invalid sig_method",
    87009: "invalid signature",
    87014: "risky content",
}

_UNKNOWN = "unknown error"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An outcome other than success; ``text`` is errmsg without the request id that ends it."""

    errcode: int
    text: str


def refusal(errcode: int) -> Refusal:
    """Return the refusal with the text that WeChat uses for the code, where that is known."""
    return Refusal(errcode, _TEXTS.get(errcode, _UNKNOWN))


def not_in_whitelist(address: str) -> Refusal:
    """Return 40164, which names the caller's address in both notations."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        v4, v6 = str(ip.ipv4_mapped or ip), address
    else:
        v4, v6 = address, f"::ffff:{address}"
    return Refusal(40164, f"invalid ip {v4} ipv6 {v6}, not in whitelist")
