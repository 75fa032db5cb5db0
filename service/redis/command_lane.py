"""Commands of one moment for one server go there together.

A server then sees one write where it saw many, and this process spends a
quarter of the time on each.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from service.redis.pipeline import RedisWire

Batch = list[tuple[bytes, "asyncio.Future[Any]"]]

_LARGEST_BATCH: Final = 128
_BATCHES_UNDER_WAY: Final = 4


class CommandLane:
    """Gathers the commands of one event-loop turn, and while enough of them are under way.

    Redis answers a batch when it has done all of it, so this is for commands
    that take no longer than their key is large.
    """

    def __init__(self, wire: RedisWire) -> None:
        self._wire = wire
        self._waiting: Batch = []
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def execute(self, command: bytes) -> asyncio.Future[Any]:
        """The reply; its exceptions are the driver's. Sent again if unanswered."""
        # One future per caller: who gives up takes nobody along.
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, future))
        if not self._scheduled and len(self._tasks) < _BATCHES_UNDER_WAY:
            self._scheduled = True
            loop.call_soon(self._send)
        return future

    async def aclose(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send(self) -> None:
        self._scheduled = False
        waiting = _wanted(self._waiting)
        batch, self._waiting = waiting[:_LARGEST_BATCH], waiting[_LARGEST_BATCH:]
        if batch:
            task = asyncio.create_task(self._exchange(batch))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and not self._scheduled:
            self._send()

    async def _exchange(self, batch: Batch) -> None:
        def commands() -> list[bytes]:
            nonlocal batch
            batch = _wanted(batch)
            return [command for command, _ in batch]

        try:
            replies = await self._wire.ask_those(commands)
        except Exception as fault:  # is for the callers
            replies = [fault] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)


def _wanted(batch: Batch) -> Batch:
    """Without those who have given up: what they take for failed is not to happen after all."""
    return [one for one in batch if not one[1].done()]
