"""`python -m service.worker`: one process that serves. The main process starts it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final, NoReturn

from service.die_with_parent import die_with_parent
from service.listener import BACKLOG
from service.metrics.folder import join
from service.worker_process import ARE_YOU_THERE, BE_UNREADY, UP

if TYPE_CHECKING:
    from pathlib import Path

    from sanic.server.async_server import AsyncioServer

    from service.core.models import ComponentStatus
    from service.worker_process import Task

log = logging.getLogger(__name__)

LONGEST_DRAIN: Final = 9.0
"""Seconds from SIGTERM after which it ends whatever is still being done."""
_READY_SECONDS: Final = 5.0
"""In which one that has to find what it leans on has found it."""
_YOUNG: Final = 10_000
"""Objects, new since it looked last, for which the collector looks again."""
_FAILED: Final = 1
_CUT_OFF: Final = 3
_IGNORED: Final = (
    # For the main process; some are sent to every process of a name, or of a terminal.
    signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT
)  # fmt: skip


def main(descriptor: int) -> NoReturn:
    """Do what comes by the pipe of this `descriptor`, and end with the main process."""
    if not die_with_parent(os.getppid()):
        _end(_FAILED)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    channel: Connection = Connection(descriptor)
    try:
        task: Task = channel.recv()
    except EOFError:
        _end(_FAILED)
    from sanic.server.loop import try_use_uvloop  # noqa: PLC0415 # while SIGTERM still ends it

    from service import logs  # noqa: PLC0415

    logs.configure(task.settings, worker=task.number)
    _count_in(task.metrics)
    try_use_uvloop()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(Worker(task, channel).serve())
    except NotReady as fault:
        log.critical("cannot serve: %s", fault)
        _end(_FAILED)
    except Exception as fault:  # noqa: BLE001 # the main process reads the exit code
        log.critical("cannot serve: %s", logs.describe(fault))
        _end(_FAILED)
    _end(0)


def _count_in(place: tuple[Path, str] | None) -> None:
    """Before anything is imported that counts."""
    if place is None:
        return
    try:
        join(*place)
    except OSError as fault:
        log.warning("metrics: no room for them: %s", fault.strerror)


def _end(code: int) -> NoReturn:
    """Without waiting for threads, which may never be done."""
    logging.shutdown()
    os._exit(code)


class NotReady(Exception):
    """What it leans on is not there; the text says which and why."""


class Worker:
    """Sanic's server around the app, from its start to its end."""

    def __init__(self, task: Task, channel: Connection) -> None:
        self._task = task
        self._channel = channel
        self._leave = asyncio.Event()

    async def serve(self) -> None:
        """Serve until SIGTERM, and finish what is under way then."""
        from sanic.server.async_server import AsyncioServer  # noqa: PLC0415

        from service.app import create_app  # noqa: PLC0415
        from service.http.protocol import AppProtocol  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        app = self._app = create_app(settings=self._task.settings, worker=self._task.number)
        self._listener = socket.socket(fileno=self._task.listener)
        self._listener.setblocking(False)
        self._protocol = partial(AppProtocol, loop=loop, app=app)
        # Not by `app.create_server`: it would take connections before there is anything to serve.
        listening = loop.create_server(
            self._protocol, sock=self._listener.dup(), backlog=BACKLOG, start_serving=False
        )
        server = AsyncioServer(app, loop, listening, set())
        await server.startup()  # type: ignore[no-untyped-call]
        await server
        await server.before_start()  # type: ignore[no-untyped-call]
        if self._task.must_be_ready:
            await self._wait_until_ready()
        _keep_what_is_there()
        # From the first connection on SIGTERM is one to finish with.
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        await server.start_serving()  # type: ignore[no-untyped-call]
        await server.after_start()  # type: ignore[no-untyped-call]
        loop.add_reader(self._channel.fileno(), self._hear)
        self._channel.send_bytes(UP)
        await self._leave.wait()
        loop.call_later(LONGEST_DRAIN, _cut_off)
        await self._drain(server)

    async def _wait_until_ready(self) -> None:
        """Raise NotReady where others that serve would be followed by one that does not."""
        deadline = time.monotonic() + _READY_SECONDS
        while down := [one for one in await self._components() if one.state == "down"]:
            if time.monotonic() > deadline:
                raise NotReady(", ".join(f"{one.component}: {one.reason}" for one in down))
            await asyncio.sleep(0.1)

    async def _components(self) -> list[ComponentStatus]:
        return [one.status for one in await self._app.ctx.services.components.look()]

    def _terminate(self) -> None:
        while self._channel.poll():
            self._hear()
        self._leave.set()

    def _hear(self) -> None:
        try:
            told = self._channel.recv_bytes()
        except (EOFError, OSError):
            # The main process is gone, where the kernel does not see to it.
            os.kill(os.getpid(), signal.SIGKILL)
            return
        if told == BE_UNREADY:
            self._app.ctx.stopping = True
            self._app.ctx.connections.leaving = True
        elif told == ARE_YOU_THERE:
            with suppress(OSError):
                self._channel.send_bytes(ARE_YOU_THERE)

    async def _drain(self, server: AsyncioServer) -> None:
        connections = self._app.ctx.connections
        connections.leaving = True
        server.close()  # type: ignore[no-untyped-call]
        await self._take_in_who_waits()
        await connections.drain()
        await server.before_stop()  # type: ignore[no-untyped-call]
        await server.after_stop()  # type: ignore[no-untyped-call]

    async def _take_in_who_waits(self) -> None:
        """Accept whom the kernel has let in already: who comes later it turns away."""
        loop = asyncio.get_running_loop()
        waiting: list[socket.socket] = []
        with self._listener:
            try:
                while len(waiting) < BACKLOG:
                    waiting.append(self._listener.accept()[0])
            except OSError:
                pass  # nobody is left; or there is no room, and then they are turned away
        for peer in waiting:
            peer.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, peer)


def _keep_what_is_there() -> None:
    """Spare the collector all that stays for good: a full collection of it takes 0.1 s.

    And have it look less often at what has just been made, which is hardly ever in circles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def _cut_off() -> NoReturn:
    log.warning("cut off after %.0f s: something is still being done", LONGEST_DRAIN)
    _end(_CUT_OFF)


if __name__ == "__main__":
    main(int(sys.argv[1]))
