"""What can go wrong with Redis, and the one place where it becomes an error of ours.

The driver raises more than it says: `TypeError`, `AttributeError` and
`RuntimeError` leak out of a connection that has just been closed. Every call of
it is made within `driver_calls`, which makes them one of FAULTS. Any other
exception is a bug of ours, and becomes a 500.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from service.core.errors import SessionStoreUnavailable
from service.core.fault_cause import name_fault
from service.metrics.series import redis_failures, redis_seconds
from service.tracing import span

if TYPE_CHECKING:
    from types import TracebackType

    from service.core.outage import Outage


_ON_TLS: Final = (
    "?ssl_ca_certs= in REDIS_URL names an authority of your own, REDIS_TLS_VERIFY=none accepts any"
)


_WRONG_USER: Final = (
    "that of servers stands in REDIS_URL, that of sentinels in REDIS_SENTINEL_USERNAME and"
    " REDIS_SENTINEL_PASSWORD"
)
_HINTS: Final = {
    "NOAUTH": f"it wants a password: {_WRONG_USER}",
    "WRONGPASS": f"not its user and password: {_WRONG_USER}",
    "NOPERM": "the user may not do this: config/redis-acl.conf says what is needed",
    "READONLY": "a replica answers at this address",
}
# An error within a script is told as ERR by servers before 7, and what it was further on.
_IN_SCRIPT: Final = re.compile(
    r"\b(READONLY|MASTERDOWN|NOREPLICAS|OOM|MISCONF|LOADING|CLUSTERDOWN|NOPERM) "
)
_WORDS: Final = {
    "max number of clients": "MAXCLIENTS",
    "The user executing the script can't run this command": "NOPERM",
}
"""Of our own, or another's, for what Redis begins with ERR, like so much."""
_REASONS: Final = {
    "READONLY": "read_only",
    "MASTERDOWN": "read_only",
    "NOREPLICAS": "too_few_replicas",
    "OOM": "out_of_memory",
    "MISCONF": "disk_error",
    "LOADING": "loading",
    "CLUSTERDOWN": "cluster_down",
    "NOAUTH": "password_missing",
    "WRONGPASS": "password_wrong",
    "NOPERM": "not_permitted",
}


class NotPrimary(RedisConnectionError):
    """A connection was made to what is a replica by now: what it would say may be old."""

    def __init__(self) -> None:
        super().__init__("not a primary", status_code="READONLY")


class NoNode(Exception):
    """No server is known, at present, that serves the key."""


class NotConfirmed(Exception):
    """Fewer replicas than wanted have said in time that they hold a change."""


FAULTS: Final = (RedisError, OSError, NoNode, NotConfirmed)
"""All that a call of Redis raises. TimeoutError is an OSError."""


class _DriverCalls:
    """`with driver_calls:` around calls of the driver; a class, because that is faster."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        fault: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if isinstance(fault, Exception) and not isinstance(fault, FAULTS):
            raise RedisConnectionError(type(fault).__name__) from fault


driver_calls: Final = _DriverCalls()


class store_errors:  # noqa: N801 # it is used as a word of `with`; a class, as above
    """Raises SessionStoreUnavailable for one of FAULTS, once `outage` knows that `what` failed.

    What takes place within is timed, counted and traced as `what`, a word of our own.
    """

    __slots__ = ("_began", "_outage", "_span", "_what")

    def __init__(self, outage: Outage, what: str) -> None:
        self._outage = outage
        self._what = what
        self._span = span("redis", what)
        self._began = time.monotonic()

    def __enter__(self) -> None:
        self._span.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self._span.__exit__(kind, fault, place)
        redis_seconds.observe(time.monotonic() - self._began, self._what)
        if fault is None:
            if self._outage.lasts:
                self._outage.works()
        elif isinstance(fault, FAULTS):
            count_failure(self._what, fault)
            self._outage.failed(self._what, describe(fault))
            raise SessionStoreUnavailable from fault


def count_failure(what: str, fault: BaseException) -> None:
    """Have /metrics say that `what`, a word of our own, failed, and why."""
    redis_failures.add(what, reason_of(fault))


def describe(fault: BaseException) -> str:
    """The kind of a fault with its cause, or the code word of an error that Redis answered.

    The rest of its text could hold an address with a password.
    """
    word = code_word(fault)
    if word:
        hint = _HINTS.get(word)
        return f"{type(fault).__name__} {word}" + (f" ({hint})" if hint else "")
    return name_fault(fault, on_tls=_ON_TLS)


def code_word(fault: BaseException | None) -> str:
    """The word that Redis begins an error with, READONLY say; that of the cause for a NoNode."""
    if isinstance(fault, NoNode):
        return code_word(fault.__cause__)
    if isinstance(fault, AuthenticationError):
        # ERR: a password for a server that has none.
        return "NOAUTH" if fault.status_code == "NOAUTH" else "WRONGPASS"
    if not isinstance(fault, RedisError):
        return ""
    text = str(fault) if isinstance(fault, ResponseError) else ""
    for phrase, word in _WORDS.items():
        if phrase in str(fault):
            return word
    word = fault.status_code or text.partition(" ")[0]
    if word == "ERR" and (inner := _IN_SCRIPT.search(text)):
        return inner[1]
    return word if word.isupper() and word.isalpha() else ""


def is_no_text(reply: object) -> bool:
    """Whether it is the error that a key has in place of a text which it does not hold."""
    return isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")


def reason_of(fault: BaseException) -> str:
    """Why Redis does not serve, in a word that anybody may see."""
    return _REASONS.get(code_word(fault), "unreachable")
