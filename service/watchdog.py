"""Keep the workers alive: Sanic's manager leaves dead ones dead (docs/adr/0004)."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from sanic.exceptions import ServerKilled
from sanic.worker.constants import ProcessState
from sanic.worker.manager import WorkerManager

from service.die_with_parent import die_with_parent

if TYPE_CHECKING:
    from sanic import Sanic

log = logging.getLogger(__name__)

RAPID: Final = 1.0
"""Seconds: a worker that dies younger than this is in a crash loop."""
LONGEST_DELAY: Final = 10.0
RAPID_DEATHS_ALLOWED: Final = 8
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


class Supervisor(WorkerManager):
    """Sanic's manager, taught to replace workers; all of it runs in the manager's own thread."""

    asked_to_stop = False  # on the class until there is a manager
    ready_at: ClassVar[dict[int | None, float]] = {}  # by process id
    deaths: ClassVar[dict[str, tuple[int, float]]] = {}  # by worker: rapid ones, next start

    def shutdown_signal(self, _signal: int, _frame: object) -> None:
        """Note the first signal, kill at the second.

        Sanic's own handler acts at once, on what it may just have interrupted: workers that are
        being started then are never told, and the state it shares with them can break.
        """
        if self.asked_to_stop:
            self._kill_workers()
        self.asked_to_stop = True

    def wait_for_ack(self) -> None:
        """Fail at once if a worker does, and stop on a signal; Sanic's waits 30 s or for ever."""
        if self._shutting_down:  # by a signal before `install` took over
            self.shutdown()
        deadline = time.monotonic() + self.THRESHOLD / 10
        while not (self._stop_on_signal() or self._all_workers_ack()):  # type: ignore[no-untyped-call]
            time.sleep(0.05)
            failed = time.monotonic() > deadline or not all(p.is_alive() for p in self.processes)
            if failed and not self.asked_to_stop:
                self.kill()

    def shutdown(self) -> None:
        """Tell the workers to stop, by SIGTERM: Sanic's is SIGINT, and can be lost.

        A KeyboardInterrupt in the midst of an import may go no further than there, and the
        worker would live on. SIGTERM ends one that does not serve yet, and drains one that does.
        """
        for process in self.processes:
            # Once only: Sanic's worker takes a second signal for leave to cut requests off.
            if process.is_alive() and process.state is not ProcessState.TERMINATED:
                with suppress(OSError, EOFError):  # the helper that keeps the state may be gone
                    process.set_state(ProcessState.TERMINATED, force=True)
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
        self._shutting_down = True

    def kill(self) -> NoReturn:
        """Kill the workers; Sanic's kills the process group: itself, ``make``, the CI's shell."""
        log.critical("killing the workers")
        self._kill_workers()
        self.cleanup()  # type: ignore[no-untyped-call]
        raise ServerKilled

    def _sync_states(self) -> None:
        super()._sync_states()  # type: ignore[no-untyped-call]
        for process in list(self.transient_processes):
            if process.state.name == "ACKED":
                self.ready_at.setdefault(process.pid, time.monotonic())
            if not self._stop_on_signal() and process.state.name in {"FAILED", "COMPLETED"}:
                self._replace(process)

    def _replace(self, process: Any) -> None:
        """Start a new worker, after a growing delay while they die young; give up in the end."""
        name, now = process.name, time.monotonic()
        rapid, due = self.deaths.get(name, (0, 0.0))
        if not due:
            rapid = rapid + 1 if now - self.ready_at.get(process.pid, now) < RAPID else 0
            due = now + (min(2.0 ** (rapid - 2), LONGEST_DELAY) if rapid else 0.0)
            log.error("%s died, exit %s; next in %.1f s", name, process.exitcode, due - now)
        if rapid >= RAPID_DEATHS_ALLOWED:
            log.critical("%s cannot stay alive; giving up", name)
            self.shutdown()
            self.cleanup()  # type: ignore[no-untyped-call]
            raise ServerKilled  # Sanic exits 1
        self.deaths[name] = (rapid, due if now < due else 0.0)
        if now >= due:
            self.restart([name])

    def _stop_on_signal(self) -> bool:
        """Begin to stop if a signal asked for it; returns whether the manager is stopping."""
        if self.asked_to_stop and not self._shutting_down:
            self.monitor_publisher.send(None)
            self.shutdown()
        return bool(self._shutting_down)

    def _kill_workers(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError, TypeError):  # TypeError: not started, so no id
                os.kill(process.pid, signal.SIGKILL)


def install(app: Sanic[Any, Any]) -> None:
    """Replace dead workers, ever more slowly in a crash loop; call it first in the factory.

    After ``RAPID_DEATHS_ALLOWED`` the main process drains and exits 1, for the platform to notice.
    """
    app.main_process_ready(_supervise)
    app.before_server_start(lambda _: attach_to_parent())


def note_signals() -> None:
    """Before `Sanic.serve`: have SIGINT and SIGTERM noted until its manager can heed them.

    One that interrupted the start of the helper process of its shared state would leave that
    behind, with the main process waiting for it. The helper inherits the mask and keeps it: a
    signal to the process group must not end it before the main process is done with it.
    """
    for number in _STOPPING:
        signal.signal(number, _note)
    resource_tracker.ensure_running()  # starting it takes the mask off, so let it be started before
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


def _note(_signal: int, _frame: object) -> None:
    # Masked or not: one of the main process's other threads may take a signal for it.
    Supervisor.asked_to_stop = True


def _supervise(app: Sanic[Any, Any]) -> None:
    # Sanic offers no place to name another class of manager, and has bound the handlers already.
    app.manager.__class__ = Supervisor
    for number in _STOPPING:
        signal.signal(number, app.manager.shutdown_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def attach_to_parent() -> None:
    """In a worker: take signals from the main process only, and on Linux end when it does.

    Ctrl-C, and honcho or a platform that stops a process group, would reach a worker beside the
    main process's own signal, and the second one cuts off the requests in flight. And a main
    process that is killed would leave workers that hold the port.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return
    os.setpgrp()
    if not die_with_parent(parent.pid):
        os.kill(os.getpid(), signal.SIGKILL)
