"""WeChat's errcodes and what they mean to a caller of this service.

The errcodes are those of WeChat's documentation of code2Session and its list of
global return codes. 40163 and the forms of the texts are not documented there, but
are what the server has answered for years.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Final

from service.core.errors import (
    LoginCodeInvalid,
    LoginCodeUsed,
    PhoneCodeInvalid,
    ServiceError,
    WeChatMisconfigured,
    WeChatRateLimited,
    WeChatUnavailable,
    WeChatUserBlocked,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_BUSY: Final = -1
APP_QUOTA: Final = 45009
TOO_OFTEN: Final = 45011

CODE2SESSION: Final[Mapping[int, type[ServiceError]]] = {
    SYSTEM_BUSY: WeChatUnavailable,
    40029: LoginCodeInvalid,  # wrong, expired, another app's, or not a wx.login code
    42003: LoginCodeInvalid,  # the same, in the words of the official-account family
    40163: LoginCodeUsed,
    40226: WeChatUserBlocked,
    APP_QUOTA: WeChatRateLimited,  # the app's, by the day
    TOO_OFTEN: WeChatRateLimited,  # 100 a minute for one user
    40002: WeChatMisconfigured,  # grant_type
    40013: WeChatMisconfigured,  # appid unknown
    40125: WeChatMisconfigured,  # AppSecret wrong or reset
    40164: WeChatMisconfigured,  # this server's address is not on the app's list
    40166: WeChatMisconfigured,  # the mini-program does not exist
    40243: WeChatMisconfigured,  # AppSecret frozen
    41002: WeChatMisconfigured,  # appid missing
    41004: WeChatMisconfigured,  # AppSecret missing
    41008: WeChatMisconfigured,  # code missing: never sent without one
    48001: WeChatMisconfigured,  # the account lacks the permission
    48017: WeChatMisconfigured,  # a retired address of WeChat: something pins its DNS
    50002: WeChatMisconfigured,  # the account is restricted
    50007: WeChatMisconfigured,  # the account is frozen
}

TOKENED: Final[Mapping[int, type[ServiceError]]] = {
    SYSTEM_BUSY: WeChatUnavailable,
    APP_QUOTA: WeChatRateLimited,
    TOO_OFTEN: WeChatRateLimited,
    40001: WeChatMisconfigured,  # a token refused twice, or the AppSecret
    40002: WeChatMisconfigured,
    40003: WeChatMisconfigured,  # openid of another app
    40013: WeChatMisconfigured,
    40014: WeChatMisconfigured,
    40125: WeChatMisconfigured,
    40164: WeChatMisconfigured,
    40243: WeChatMisconfigured,
    41001: WeChatMisconfigured,
    41002: WeChatMisconfigured,
    41004: WeChatMisconfigured,
    42001: WeChatMisconfigured,
    43002: WeChatMisconfigured,
    44002: WeChatMisconfigured,
    47001: WeChatMisconfigured,
    48001: WeChatMisconfigured,
    50002: WeChatMisconfigured,
    50004: WeChatMisconfigured,  # the account may not use tokens
    50007: WeChatMisconfigured,
    61024: WeChatMisconfigured,  # a third-party platform's account
    89501: WeChatMisconfigured,  # this address waits for the administrator
    89503: WeChatMisconfigured,
    89506: WeChatMisconfigured,  # the administrator refused it
    89507: WeChatMisconfigured,
}
"""For access_token itself and all calls that carry one."""

PHONE_NUMBER: Final[Mapping[int, type[ServiceError]]] = {
    **TOKENED,
    40013: PhoneCodeInvalid,  # another app's: ours is told by the token
    40029: PhoneCodeInvalid,
}

FIELD_REFUSED: Final = frozenset({47001})  # the body is not in the form that it wants
TOKEN_REFUSED: Final = frozenset({40001, 40014, 42001})
NOT_LOOKED_AT: Final = frozenset({SYSTEM_BUSY, APP_QUOTA}) | TOKEN_REFUSED
"""With these WeChat says nothing about what it was asked."""
SESSION_KEY_DEAD: Final = frozenset({87007, 87009})
RISKY_TEXT: Final = frozenset({87014})
USER_NOT_SEEN: Final = frozenset({61010})
KNOWN: Final = CODE2SESSION.keys() | TOKENED.keys() | SESSION_KEY_DEAD | RISKY_TEXT | USER_NOT_SEEN

_RID = re.compile(r"rid: ?([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8})")
_IP = re.compile(r"invalid ip ([0-9a-fA-F.:]{3,45})")


def label_of(errcode: object) -> str:
    """What /metrics calls it: those that are not known may be any number."""
    return str(errcode) if isinstance(errcode, int) and errcode in KNOWN else "other"


def is_outage(errcode: int | None, kind: type[ServiceError] | None) -> bool:
    """Whether others fare the same until somebody acts, or WeChat is itself again.

    `kind`: the error that the errcode is; None where it is none that is known.
    """
    return errcode == APP_QUOTA or kind in {WeChatMisconfigured, WeChatUnavailable, None}


def loggable(errmsg: object) -> dict[str, str]:
    """What of an errmsg may be logged: `rid`, which WeChat's support asks for, and our own `ip`."""
    text = errmsg if isinstance(errmsg, str) else ""
    rid, ip = _RID.search(text), _IP.search(text)
    found = {"rid": rid[1]} if rid else {}
    if ip:
        with contextlib.suppress(ValueError):  # not an address: not ours to print
            found["ip"] = str(ipaddress.ip_address(ip[1]))
    return found
