"""What can go wrong with Redis, and the one place where it becomes an error of ours.

The driver raises more than it says: `TypeError`, `AttributeError` and
`RuntimeError` leak out of a connection that has just been closed. Every call of
it is made within `driver_calls`, which makes them one of FAULTS. Any other
exception is a bug of ours, and becomes a 500.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from service.core.errors import SessionStoreUnavailable
from service.core.fault_cause import name_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from service.core.throttled_log import ThrottledLog


_ON_TLS: Final = (
    "?ssl_ca_certs= in REDIS_URL names an authority of your own, REDIS_TLS_VERIFY=none accepts any"
)


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


@contextmanager
def store_errors(log: ThrottledLog, what: str) -> Iterator[None]:
    """Raise SessionStoreUnavailable for one of FAULTS, after logging it as `what` failed."""
    try:
        yield
    except FAULTS as fault:
        log.failed(what, describe(fault))
        raise SessionStoreUnavailable from fault


def describe(fault: BaseException) -> str:
    """The kind of a fault with its cause, or the code word of an error that Redis answered.

    The rest of its text could hold an address with a password.
    """
    word = str(fault).partition(" ")[0] if isinstance(fault, ResponseError) else ""
    if word.isupper() and word.isalpha():
        return f"{type(fault).__name__} {word}"
    return name_fault(fault, on_tls=_ON_TLS)
