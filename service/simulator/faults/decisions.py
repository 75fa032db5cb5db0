"""Faults that make WeChat decide otherwise, each at its place in an endpoint's rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.simulator.errcodes import Refusal, refusal
from service.simulator.faults.fault import Fault


class Errcode(Fault):
    """Refuses good calls with this errcode; the code stays good unless uses_code is true."""

    kind = "errcode"
    errcode: int
    errmsg: Annotated[
        str | None, Field(max_length=500, description="null: the text WeChat uses")
    ] = None
    uses_code: bool = False

    @property
    def refusal(self) -> Refusal:
        """What to answer instead of success."""
        if self.errmsg is None:
            return refusal(self.errcode)
        return Refusal(self.errcode, self.errmsg)


class BlockedUser(Fault):
    """Holds this user to be a risk: errcode 40226."""

    kind = "blocked_user"
    user: Annotated[str, Field(min_length=1)]


class IpWhitelist(Fault):
    """Admits only these client addresses; others get errcode 40164."""

    kind = "ip_whitelist"
    ips: list[str]


class WrongSecret(Fault):
    """Has the token endpoints answer a wrong AppSecret with 40001, as documented, not 40125."""

    kind = "wrong_secret"
    errcode: Literal[40001, 40125] = 40001


class TokenSuperseded(Fault):
    """Voids the token a good call brings, as another caller's fetch would: errcode 40001."""

    kind = "token_superseded"
    appid: Annotated[str | None, Field(description="app it concerns; null: any")] = None


class NotEntitled(Fault):
    """Denies the permission for calls with a token, before their body is read: errcode 48001."""

    kind = "not_entitled"
    appid: Annotated[str | None, Field(description="app it concerns; null: any")] = None


class OpenidRefused(Fault):
    """Refuses an openid beside a phone code, as some have seen, and the code stays good: 47001."""

    kind = "openid_refused"
    appid: Annotated[str | None, Field(description="app it concerns; null: any")] = None


class ClockSkew(Fault):
    """Runs WeChat's clock ahead, or behind if negative, in rids and the Date header."""

    kind = "clock_skew"
    seconds: Annotated[int, Field(ge=-(10**8), le=10**8)]
