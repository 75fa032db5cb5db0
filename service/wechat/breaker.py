"""Stops calls that WeChat would not answer, and finds out by one at a time when it would.

No library does this: in all that were tried, every call that comes at the end of
the pause goes through, not one (docs/adr/0024-fair-share-and-breaker.md).
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from service.core.errors import WeChatRateLimited, WeChatUnavailable
from service.wechat import errcodes

if TYPE_CHECKING:
    from types import TracebackType

    from service.core.errors import ServiceError

log = logging.getLogger(__name__)

IN_A_ROW: Final = 5
"""So many time-outs, or so many clients whom WeChat tells to slow down."""
PAUSE_SECONDS: Final = 5.0
QUOTA_PAUSE_SECONDS: Final = 60.0


class Breaker:
    """One mini-program's calls of one endpoint, as one worker makes them.

    Closed, it lets all through. Open, it refuses all until its pause is over, then
    lets one through: that decides. Any answer but a limit of WeChat's closes it,
    also the late one to a call from before.
    """

    def __init__(self, name: str) -> None:
        """`name`: what the log calls it."""
        self._name = name
        self._timeouts = 0
        self._slowed: frozenset[str | None] = frozenset()
        """Whom WeChat told to slow down, with no other answer since."""
        self._limited = False
        self._opened_at: float | None = None
        self._closed_until = 0.0
        self._probing = False
        self._refused = 0

    def check(self) -> None:
        """Raise while calls are refused, with the time until one is let through.

        WeChatRateLimited for a limit of WeChat's, else WeChatUnavailable; the code is
        good afterwards.
        """
        left = self._closed_until - time.monotonic()
        if self._opened_at is None or (left <= 0 and not self._probing):
            return
        self._refused += 1
        raise self._refusal(max(1, math.ceil(left)))

    def call(self) -> _Call:
        """Around one call; a TimeoutError that leaves it is taken for WeChat's silence.

        A ConnectionError tells nothing of WeChat, anything else is an answer.

        Raises as `check` does.
        """
        return _Call(self)

    def begin(self) -> bool:
        """Let a call through, or raise as `check` does; whether it is the one that decides."""
        self.check()
        is_probe = self._opened_at is not None
        self._probing = self._probing or is_probe
        return is_probe

    def end(self, fault: BaseException | None, *, is_probe: bool) -> None:
        """Learn from how a call ended."""
        if isinstance(fault, TimeoutError):
            self._timed_out(probe=is_probe)
        elif isinstance(fault, Exception) and not isinstance(fault, ConnectionError):
            self._close()
        # Else the client has gone, or WeChat was not reached: nothing was learnt.
        if is_probe:
            self._probing = False

    def answered(self, errcode: object, client: str | None) -> None:
        """Learn from an answer to `client`, whose own limit is no concern of others."""
        if errcode == errcodes.APP_QUOTA:
            self._open("its quota is used up", QUOTA_PAUSE_SECONDS, limited=True)
            return
        slowed = self._slowed | {client} if errcode == errcodes.TOO_OFTEN else frozenset()
        if len(slowed) >= IN_A_ROW:
            self._slowed = slowed
            self._open(f"{IN_A_ROW} clients were told to slow down", PAUSE_SECONDS, limited=True)
        else:
            self._close()
            self._slowed = slowed

    def _timed_out(self, *, probe: bool) -> None:
        self._timeouts += 1
        # Of those that were under way when it opened, none makes the pause longer.
        if probe or (self._opened_at is None and self._timeouts >= IN_A_ROW):
            self._open(f"{self._timeouts} time-outs in a row", PAUSE_SECONDS, limited=False)

    def _open(self, why: str, pause: float, *, limited: bool) -> None:
        now = time.monotonic()
        self._closed_until = now + pause
        self._limited = limited
        if self._opened_at is None:
            self._opened_at = now
            log.warning("wechat: %s is asked no more for %.0f s: %s", self._name, pause, why)

    def _close(self) -> None:
        self._timeouts = 0
        self._slowed = frozenset()
        if self._opened_at is not None:
            seconds = time.monotonic() - self._opened_at
            log.warning(
                "wechat: %s answers again after %.1f s, in which %d calls were refused",
                *(self._name, seconds, self._refused),
            )
            self._opened_at, self._refused = None, 0

    def _refusal(self, retry_after: int) -> ServiceError:
        if self._limited:
            return WeChatRateLimited(retry_after=retry_after, sent=False)
        return WeChatUnavailable(retry_after=retry_after, sent=False)


class _Call:
    """A class, because that is faster than a generator, and around every call."""

    __slots__ = ("_breaker", "_is_probe")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._is_probe = False

    def __enter__(self) -> None:
        self._is_probe = self._breaker.begin()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        fault: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._breaker.end(fault, is_probe=self._is_probe)


class Breakers(dict[tuple[str, str], Breaker]):
    """A breaker for each endpoint and mini-program, by path and appid."""

    def __missing__(self, key: tuple[str, str]) -> Breaker:
        path, appid = key
        self[key] = Breaker(f"{path} for {appid}")
        return self[key]
