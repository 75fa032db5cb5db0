"""What a check finds: that it is fine, or what is wrong and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from service.cli.language import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["ok", "note", "warning", "wrong"]
"""`note`: nobody can tell, or it is as it is meant to be and still worth knowing."""
ORDER: Final[tuple[State, ...]] = ("ok", "note", "warning", "wrong")
WORDS: Final[Mapping[State, Text]] = {
    "ok": Text("ok", "正常"),
    "note": Text("note", "说明"),
    "warning": Text("warning", "注意"),
    "wrong": Text("wrong", "有误"),
}


class Finding(NamedTuple):
    """One of them."""

    state: State
    text: Text
    cure: Text | None
    """What to do; None where there is nothing."""
    values: Mapping[str, object]
    """What is put into both."""


def ok(text: Text, **values: object) -> Finding:
    """It is as it should be."""
    return Finding("ok", text, None, values)


def note(text: Text, cure: Text | None = None, **values: object) -> Finding:
    """Worth knowing."""
    return Finding("note", text, cure, values)


def warning(text: Text, cure: Text, **values: object) -> Finding:
    """It works, and will not always."""
    return Finding("warning", text, cure, values)


def wrong(text: Text, cure: Text, **values: object) -> Finding:
    """It does not work."""
    return Finding("wrong", text, cure, values)


def worst(findings: list[Finding]) -> State:
    """The worst state among them."""
    return max((one.state for one in findings), key=ORDER.index, default="ok")


Look: TypeAlias = Callable[[], Awaitable[list[Finding]]]


class Check(NamedTuple):
    """One thing that is looked at."""

    name: str
    """For programs: does not change."""
    title: Text
    look: Look


AS_IT_IS: Final = Text("{text}", "{text}")

_PATIENCE_SECONDS: Final = 2.0
_SKEW: Final = Text(
    "its clock is {seconds} s {direction} this machine's", "其时钟比本机{direction} {seconds} 秒"
)
_SKEW_CURE: Final = Text(
    "set both by NTP (chrony, systemd-timesyncd)",
    "用 NTP 校准两边的时钟（chrony、systemd-timesyncd）",
)
_AHEAD: Final = Text("ahead of", "快")
_BEHIND: Final = Text("behind", "慢")
_IN_STEP: Final = Text("clock in step", "时钟一致")


def skew(server: float, *, sent: float, received: float) -> Finding:
    """How a server's clock stands to this machine's; all in Unix seconds.

    `server` was its time somewhere between the other two.
    """
    off = server - received if server > received else min(server - sent, 0)
    if abs(off) < _PATIENCE_SECONDS:
        return ok(_IN_STEP)
    direction = _AHEAD if off > 0 else _BEHIND
    text = Text(
        _SKEW.en.replace("{direction}", direction.en), _SKEW.zh.replace("{direction}", direction.zh)
    )
    return warning(text, _SKEW_CURE, seconds=round(abs(off), 1))


async def median_ms(ask: Callable[[], Awaitable[Any]], *, times: int) -> float:
    """The median time that asking takes, in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)
