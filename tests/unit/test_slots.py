"""A place for a worker, while one follows another: with workers that are none."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

from service import supervisor, worker
from service.config.settings import Settings
from service.http import connections
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
        self.was_killed = self.hung = False
        self.is_told_to_end = asyncio.Event()

    async def comes_up(self, within: float) -> bool:
        await asyncio.wait([self.up], timeout=within)
        return self.up.done()

    def terminate(self) -> None:
        self.is_told_to_end.set()


class Service:
    """One slot, and all workers that were started in it."""

    keeping: asyncio.Task[None]

    def __init__(self, listener: socket.socket) -> None:
        self.workers: asyncio.Queue[Worker] = asyncio.Queue()
        self.failures = 0
        """How often there will be no process to be had."""
        self.others_serve = True
        supervisor: Any = Supervisor(Settings(), reload=Settings)
        supervisor.start = self._start
        supervisor.is_served_without = lambda _: self.others_serve
        self.slot = _Slot(1, supervisor, listener, shares=False)

    def _start(self, *_: object, **__: object) -> Worker:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EAGAIN, "no process")
        worker = Worker()
        self.workers.put_nowait(worker)
        return worker


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    with socket.socket() as listener:
        service = Service(listener)
        service.keeping = asyncio.create_task(service.slot.keep())
        yield service
        service.keeping.cancel()


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


@pytest.mark.parametrize("others_serve", [True, False])
async def test_where_no_process_is_to_be_had_nobody_gives_up_while_others_serve(
    service: Service, monkeypatch: pytest.MonkeyPatch, *, others_serve: bool
) -> None:
    monkeypatch.setattr(supervisor, "_delay_after", lambda _: 0.0)
    first = await service.workers.get()
    first.up.set_result(None)
    service.failures, service.others_serve = 20, others_serve
    first.gone.set_result(-9)
    async with asyncio.timeout(5):
        if others_serve:
            await service.workers.get()
        else:
            with pytest.raises(supervisor.GivenUp):
                await service.keeping


def test_who_waits_for_another_waits_longer() -> None:
    """Connections, then the worker, then the main process; and all is over within ten seconds."""
    assert connections._LONGEST_DRAIN < worker.LONGEST_DRAIN < supervisor.LONGEST_DRAIN < 10
