"""One connection of a node that is kept, and made anew when it is in doubt."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.redis.errors import driver_calls
from service.redis.wire import Wire

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from service.redis.wire import Batch

_ATTEMPTS: Final = 2
_END_SECONDS: Final = 0.01


class HeldConnection:
    """Sends batches over a connection of the driver's pool that it keeps for itself.

    Each batch is tried twice, and fails with one of FAULTS no later than
    `timeout` seconds after it was asked for. A server that does not answer for
    half of that is left for a new connection.
    """

    def __init__(self, driver: Redis, *, timeout: float) -> None:
        self._pool = driver.connection_pool
        self._timeout = timeout
        self._patience = timeout / _ATTEMPTS
        # Asked for once: it takes a system call, and 2 of a check's 40 microseconds.
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._waiting: list[Batch] = []
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def wire(self) -> Wire | None:
        """The connection of the moment."""
        return self._wire

    def send(self, batch: Batch) -> None:
        """Have it answered or failed, soon."""
        try:
            self._send(batch)
        except Exception as bug:  # noqa: BLE001 # nobody else would tell who waits
            batch.fail(bug)

    def _send(self, batch: Batch) -> None:
        if self._is_closed:
            raise RedisConnectionError("closed")
        if self._wire is None:
            self._waiting.append(batch)
            self._connect_soon()
        elif not self._wire.send(batch):
            batch.answer([])
        if self._timer is None:
            self._look_later(time.monotonic())

    def close_idle(self) -> None:
        """Close it, if nothing is under way on it."""
        if self._wire is not None and self._wire.is_idle:
            self._wire.give_up(RedisConnectionError("not needed any more"))

    async def aclose(self) -> None:
        """Let what is under way end, then close it."""
        # No event, which would cost each batch: it ends but once.
        while self._waiting or (self._wire is not None and not self._wire.is_idle):  # noqa: ASYNC110
            await asyncio.sleep(_END_SECONDS)
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self.close_idle()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._closing)

    def _connect_soon(self) -> None:
        if self._connecting is None:
            # For all who wait, and what comes by it for others: of no request.
            self._connecting = self._loop.create_task(self._connect(), context=Context())

    async def _connect(self) -> None:
        fault: Exception | None = None
        try:
            with driver_calls:
                connection = await self._pool.get_connection()  # type: ignore[no-untyped-call] # the driver's
                try:
                    self._wire = Wire(connection, self._lost)
                except BaseException:
                    self._close(connection)
                    raise
        except Exception as error:  # noqa: BLE001 # the waiting ones' to handle
            fault = error
        finally:
            self._connecting = None
        waiting, self._waiting = self._waiting, []
        for batch in waiting:
            if fault is not None:
                self._again(batch, fault)
            else:
                self.send(batch)

    def _lost(self, wire: Wire, unanswered: list[Batch], fault: Exception) -> None:
        if wire is self._wire:
            self._wire = None
        self._close(wire.connection)
        for batch in unanswered:
            self._again(batch, fault)

    def _again(self, batch: Batch, fault: Exception) -> None:
        batch.attempts += 1
        if batch.attempts < _ATTEMPTS:
            self.send(batch)
        else:
            batch.fail(fault)

    def _close(self, connection: AbstractConnection) -> None:
        task = self._loop.create_task(self._give_back(connection), context=Context())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _give_back(self, connection: AbstractConnection) -> None:
        """Make room in the pool. Not by waiting: the driver is not told when it is closed."""
        with suppress(Exception):
            await connection.disconnect(nowait=True)
        with suppress(Exception):
            await self._pool.release(connection)

    def _look_later(self, now: float) -> None:
        due = min(self._dues(), default=None)
        # One timer for all, which is not moved by what is done meanwhile.
        if due is None:
            self._timer = None
        else:
            delay = max(due - now, 0)
            self._timer = self._loop.call_later(delay, self._look, context=Context())

    def _dues(self) -> list[float]:
        dues = [batch.asked + self._timeout for batch in self._waiting]
        if self._wire and (due := self._due_on(self._wire)):
            dues.append(due)
        return dues

    def _due_on(self, wire: Wire) -> float | None:
        oldest = wire.oldest
        if oldest is None:
            return None
        return min(oldest.at + self._patience, oldest.batch.asked + self._timeout)

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for batch in waiting:
            if now >= batch.asked + self._timeout:
                batch.fail(RedisTimeoutError("no connection in time"))
            else:
                self._waiting.append(batch)
        if self._wire and (due := self._due_on(self._wire)) and now >= due:
            self._wire.give_up(RedisTimeoutError("no reply in time"))
        if self._timer is None:
            self._look_later(now)
