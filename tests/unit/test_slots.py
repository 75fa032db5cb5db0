"""A place for a worker, while one follows another: with workers that are none."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from service.config.settings import Settings
from service.supervisor import Supervisor, _Slot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Worker:
    """Comes up, and ends, when it is told to."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.name = "worker 1"
        self.up: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[int] = loop.create_future()
        self.has_successor: asyncio.Future[None] = loop.create_future()
        self.seconds_up = 60.0
        self.was_killed = False
        self.is_told_to_end = asyncio.Event()

    async def comes_up(self, within: float) -> bool:
        await asyncio.wait([self.up], timeout=within)
        return self.up.done()

    def terminate(self) -> None:
        self.is_told_to_end.set()


class Service:
    """One slot, and all workers that were started in it."""

    def __init__(self, listener: socket.socket) -> None:
        self.workers: asyncio.Queue[Worker] = asyncio.Queue()
        supervisor: Any = Supervisor(Settings(), reload=Settings)
        supervisor.start = self._start
        self.slot = _Slot("worker 1", supervisor, listener, shares=False)

    def _start(self, *_: object) -> Worker:
        worker = Worker()
        self.workers.put_nowait(worker)
        return worker


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    with socket.socket() as listener:
        service = Service(listener)
        keeping = asyncio.create_task(service.slot.keep())
        yield service
        keeping.cancel()


async def test_a_restart_waits_for_a_worker_that_is_just_starting(service: Service) -> None:
    """It has the settings of before."""
    first = await service.workers.get()
    restart = asyncio.create_task(service.slot.restart())
    await asyncio.sleep(0)
    first.up.set_result(None)
    async with asyncio.timeout(5):
        second = await service.workers.get()
        second.up.set_result(None)
        await first.is_told_to_end.wait()
    first.gone.set_result(0)
    assert await restart


async def test_a_successor_that_dies_is_replaced_while_the_former_worker_finishes(
    service: Service,
) -> None:
    first = await service.workers.get()
    first.up.set_result(None)
    restart = asyncio.create_task(service.slot.restart())
    second = await service.workers.get()
    second.up.set_result(None)
    await first.is_told_to_end.wait()
    second.gone.set_result(-9)
    async with asyncio.timeout(5):
        third = await service.workers.get()
    assert not first.gone.done()
    third.up.set_result(None)
    first.gone.set_result(0)
    assert await restart
