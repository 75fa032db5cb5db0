"""Work that goes on when the client who asked for it hangs up."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from service.core.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Runs to its end what must not stop half-way.

    Sanic cancels the handler of a request when its client has gone.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run_to_completion(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises; it goes on when this is cancelled."""
        task = asyncio.create_task(work)
        self._running.add(task)
        ended: asyncio.Future[None] = task.get_loop().create_future()
        task.add_done_callback(partial(self._end, ended))
        try:
            await ended  # asyncio.shield does the same by three callbacks, at every login
        except asyncio.CancelledError:
            task.add_done_callback(log_bug)
            raise
        return task.result()

    def _end(self, ended: asyncio.Future[None], task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not ended.done():  # by who does not wait any more
            ended.set_result(None)

    async def aclose(self) -> None:
        """Wait for what is running."""
        await asyncio.gather(*self._running, return_exceptions=True)


def log_bug(task: asyncio.Task[Any]) -> None:
    """Done-callback of a task that maybe nobody waits for: logs what it raised.

    Not a ServiceError: that was for the client to hear, and no fault of ours.
    """
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ServiceError):
        log.error("failed in the background", exc_info=error)
