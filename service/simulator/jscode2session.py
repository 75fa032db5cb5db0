"""The rules of /sns/jscode2session, in the order in which they are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from service.simulator.errcodes import Refusal, foreign_ip, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.simulator.codes import Code
    from service.simulator.world import App, Grant, World

PATH = "/sns/jscode2session"


class Injection(NamedTuple):
    """A refusal of a call with which nothing is wrong."""

    refusal: Refusal
    uses_code: bool


class Conditions(Protocol):
    """Circumstances that faults bring about. Asked only when the rules get that far."""

    def admits(self, ip: str) -> bool:
        """Whether the caller's address is in the whitelist, or there is none."""

    def blocks(self, user: str) -> bool:
        """Whether WeChat holds the user to be a risk."""

    def injection(self) -> Injection | None:
        """Return the refusal to give instead of success."""


class Normal:
    """No whitelist, nobody blocked, nothing injected."""

    def admits(self, ip: str) -> bool:  # noqa: ARG002, D102
        return True

    def blocks(self, user: str) -> bool:  # noqa: ARG002, D102
        return False

    def injection(self) -> None:  # noqa: D102
        return None


def exchange(
    world: World, *, method: str, query: Mapping[str, str], ip: str, conditions: Conditions
) -> Grant | Refusal:
    """Exchange a login code. Parameters count in the query string only."""
    checked = _check_caller(world, method=method, query=query, ip=ip, conditions=conditions)
    if isinstance(checked, Refusal):
        return checked
    text = query.get("js_code")
    if not text:
        return refusal(41008)
    code = world.find_code(text, appid=checked.appid)
    if code is None:
        return refusal(40029)
    return _redeem(world, code, conditions)


def _check_caller(
    world: World, *, method: str, query: Mapping[str, str], ip: str, conditions: Conditions
) -> App | Refusal:
    """Find out which app calls, and whether it may."""
    app = world.apps.get(query.get("appid", ""))
    secret = query.get("secret")
    found: App | Refusal
    if method != "GET" or not query.get("appid"):
        found = refusal(41002)
    elif app is None:
        found = refusal(40013)
    elif not secret:
        found = refusal(41004)
    elif query.get("grant_type") != "authorization_code":
        found = refusal(40002)
    elif secret != app.secret:
        found = refusal(40125)
    elif not conditions.admits(ip):
        found = foreign_ip(ip)
    else:
        found = app
    return found


def _redeem(world: World, code: Code, conditions: Conditions) -> Grant | Refusal:
    """Give what the code stands for. Only success, or an injection that says so, uses it up."""
    if code.used:
        return refusal(40163)
    if conditions.blocks(code.user):
        return refusal(40226)
    if not world.take_quota(code.user):
        return refusal(45011)
    if (injection := conditions.injection()) is not None:
        if injection.uses_code:
            world.redeem(code)
        return injection.refusal
    return world.redeem(code) or refusal(40163)
