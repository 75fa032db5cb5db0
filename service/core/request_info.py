"""Which request the running code works for, wherever it is: for log lines and events."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Protocol


class RequestInfo(Protocol):
    """What is told of a request beside what happens to it."""

    @property
    def request_id(self) -> str:
        """What its answer calls it: `requestId`, and the header X-Request-ID."""
        ...

    @property
    def client_address(self) -> str | None:
        """Of the client, as limits count it; None where it cannot be told."""
        ...


current_request: Final[ContextVar[RequestInfo | None]] = ContextVar("current_request", default=None)
"""None outside of requests. A task has that of whoever made it (asyncio copies the context), so
work for several requests, or for none, is made with a context of its own: `create_task(...,
context=Context())`."""


def current_request_id() -> str:
    """The id of the request at hand; "" outside of one."""
    request = current_request.get()
    return request.request_id if request else ""
