"""A worker as the main process sees it: how it is started, told things and ended."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from service.config.settings import Settings

log = logging.getLogger(__name__)

UP: Final = b"up"
"""What a worker says once it serves."""
BE_UNREADY: Final = b"be unready"
"""What it is told when the service is about to stop."""
ARE_YOU_THERE: Final = b"are you there"
"""What it is asked, and what it answers, while its event loop turns."""


class Task(NamedTuple):
    """What a worker is to do; told by a pipe, as others may see commands and environments."""

    settings: Settings
    listener: int
    """The descriptor of a socket that listens."""
    must_be_ready: bool
    """Whether it may serve only once it finds what it leans on."""
    number: str
    """What its log lines call it: 1, 2 and so on."""
    metrics: tuple[Path, str] | None = None
    """Where it counts, and by which name, as service/metrics/folder.py has it."""


class WorkerProcess:
    """One process of `service.worker`, in a group of its own.

    Ctrl-C, and a platform that stops a process group, would reach it beside the
    main process's own signal.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        listener: socket.socket,
        *,
        must_be_ready: bool,
        metrics: tuple[Path, str] | None = None,
    ) -> None:
        """Start it, on the running event loop."""
        self.name = name
        loop = asyncio.get_running_loop()
        self.up: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[int] = loop.create_future()
        """Its exit code, negative for a signal."""
        self.has_successor: asyncio.Future[None] = loop.create_future()
        """Done once another one has its place, while it finishes what it is at."""
        self.seconds_up = 0.0
        """For how long it has served, once it is gone."""
        self._up_since = 0.0
        self.hung = False
        """Whether it was killed for that."""
        self._asked_in_vain = 0
        self._channel, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 # a command of ours
                [
                    sys.executable,
                    *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined] # noqa: SLF001 # as multiprocessing does
                    "-m",
                    "service.worker",
                    str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), listener.fileno()),
                process_group=0,
            )
        with suppress(OSError):  # it has ended already
            number = name.removeprefix("worker ")
            self._channel.send(Task(settings, listener.fileno(), must_be_ready, number, metrics))
        loop.add_reader(self._channel.fileno(), self._hear)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def was_killed(self) -> bool:
        """Whether it was ended by somebody else, and did not fail."""
        return self.gone.done() and self.gone.result() < 0 and not self.up.cancelled()

    async def comes_up(self, within: float) -> bool:
        """Wait until it serves; one that does not in this time is killed."""
        either: list[asyncio.Future[Any]] = [self.up, self.gone]
        await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if self.up.done() or self.gone.done():
            return self.up.done()
        log.error("%s is not up after %.0f s: killing it", self.name, within)
        self.up.cancel()
        self.kill()
        await asyncio.wait([self.gone])
        return False

    def ask(self) -> int:
        """Ask whether it is there; returns how often it was asked since it last said so."""
        if not self._asked_in_vain:  # once: what nobody reads would pile up
            self._tell(ARE_YOU_THERE)
        self._asked_in_vain += 1
        return self._asked_in_vain - 1

    def be_unready(self) -> None:
        """Have it tell balancers that it is about to stop."""
        self._tell(BE_UNREADY)

    def terminate(self) -> None:
        """Have it finish what it is at, and end; at once if it does not serve yet."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it here and now."""
        self._signal(signal.SIGKILL)

    def has_ended(self) -> bool:
        """See whether it has."""
        code = self._process.poll()
        if code is not None and not self.gone.done():
            self._stop_hearing()
            if self._up_since:
                self.seconds_up = time.monotonic() - self._up_since
            self.gone.set_result(code)
        return code is not None

    def _hear(self) -> None:
        try:
            said = self._channel.recv_bytes()
        except (EOFError, OSError):
            self._stop_hearing()
            return
        if said == ARE_YOU_THERE:
            self._asked_in_vain = 0
        elif said == UP and not self.up.done():
            self._up_since = time.monotonic()
            self.up.set_result(None)

    def _stop_hearing(self) -> None:
        if not self._channel.closed:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()

    def _tell(self, what: bytes) -> None:
        if not self._channel.closed:
            with suppress(OSError):
                self._channel.send_bytes(what)

    def _signal(self, number: signal.Signals) -> None:
        if not self.gone.done():
            self._process.send_signal(number)
