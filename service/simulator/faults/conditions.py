"""What faults may change about the rules, each asked at its place in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from service.simulator.errcodes import Refusal


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

    def wrong_secret(self) -> int:
        """Return the errcode of a wrong AppSecret at the token endpoints."""

    def supersedes(self, appid: str) -> bool:
        """Whether another caller has just replaced the app's token."""

    def entitles(self, appid: str) -> bool:
        """Whether the app has the permission to make the call."""


class Normal:
    """No whitelist, nobody blocked, nothing injected."""

    def admits(self, ip: str) -> bool:  # noqa: ARG002, D102
        return True

    def blocks(self, user: str) -> bool:  # noqa: ARG002, D102
        return False

    def injection(self) -> None:  # noqa: D102
        return None

    def wrong_secret(self) -> int:  # noqa: D102
        return 40125

    def supersedes(self, appid: str) -> bool:  # noqa: ARG002, D102
        return False

    def entitles(self, appid: str) -> bool:  # noqa: ARG002, D102
        return True
