"""Keep the workers alive: Sanic's manager leaves dead ones dead (docs/adr/0004)."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from sanic.exceptions import ServerKilled
from sanic.worker.manager import WorkerManager

if TYPE_CHECKING:
    from sanic import Sanic

log = logging.getLogger(__name__)
RAPID, LONGEST_DELAY, RAPID_DEATHS_ALLOWED = 1.0, 10.0, 8


class Supervisor(WorkerManager):
    """Sanic's manager, taught to replace workers; all of it runs in the manager's own thread."""

    ready_at: ClassVar[dict[int | None, float]] = {}  # by process id
    deaths: ClassVar[dict[str, tuple[int, float]]] = {}  # by worker: rapid ones, next start

    def _sync_states(self) -> None:
        super()._sync_states()  # type: ignore[no-untyped-call]
        for process in list(self.transient_processes):
            name, now = process.name, time.monotonic()
            if process.state.name == "ACKED":
                self.ready_at.setdefault(process.pid, now)
            if self._shutting_down or process.state.name not in {"FAILED", "COMPLETED"}:
                continue
            rapid, due = self.deaths.get(name, (0, 0.0))
            if not due:
                rapid = rapid + 1 if now - self.ready_at.get(process.pid, now) < RAPID else 0
                due = now + (min(2.0 ** (rapid - 2), LONGEST_DELAY) if rapid else 0.0)
                log.error("%s died, exit %s; next in %.1f s", name, process.exitcode, due - now)
            if rapid >= RAPID_DEATHS_ALLOWED:
                log.critical("%s cannot stay alive; giving up", name)
                self.shutdown()  # type: ignore[no-untyped-call]
                self.cleanup()  # type: ignore[no-untyped-call]
                raise ServerKilled  # Sanic exits 1
            self.deaths[name] = (rapid, due if now < due else 0.0)
            if now >= due:
                self.restart([name])
                if self._shutting_down:  # the signal came in between
                    self.shutdown()

    def wait_for_ack(self) -> None:
        """Fail at once if a worker does, and heed a SIGTERM; Sanic's waits 30 s or for ever."""
        deadline = time.monotonic() + self.THRESHOLD / 10
        while not (self._shutting_down or self._all_workers_ack()):  # type: ignore[no-untyped-call]
            time.sleep(0.05)
            failed = time.monotonic() > deadline or not all(p.is_alive() for p in self.processes)
            if failed and not self._shutting_down:
                self.kill()

    def kill(self) -> NoReturn:
        """Kill the workers; Sanic's kills the process group: itself, ``make``, the CI's shell."""
        log.critical("killing the workers")
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.cleanup()  # type: ignore[no-untyped-call]
        raise ServerKilled


def install(app: Sanic[Any, Any]) -> None:
    """Replace dead workers, in a crash loop ever later; call it first thing in the factory.

    After ``RAPID_DEATHS_ALLOWED`` the main process drains and exits 1, for the platform to notice.
    """
    app.main_process_ready(lambda app: setattr(app.manager, "__class__", Supervisor))
    app.before_server_start(lambda _: attach_to_parent())


def attach_to_parent() -> None:
    """In a worker: take signals from the main process only, and on Linux end when it does.

    Ctrl-C, and honcho or a platform that stops a process group, would reach a worker beside the
    main process's own signal, and the second one cuts off the requests in flight. And a main
    process that is killed would leave workers that hold the port.
    """
    if multiprocessing.parent_process():
        os.setpgrp()
    if sys.platform == "linux" and (parent := multiprocessing.parent_process()):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent.pid:  # it died before the kernel knew that we care
            os.kill(os.getpid(), signal.SIGKILL)
