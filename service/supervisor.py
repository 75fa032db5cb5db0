"""The main process: keeps the workers alive, restarts and stops them (docs/adr/0030)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from service.config.settings import ConfigError
from service.listener import SHARES, listen
from service.metrics.workers import WorkerMetrics
from service.worker_process import WorkerProcess

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from service.config.settings import Settings

log = logging.getLogger(__name__)

RAPID: Final = 1.0
"""Seconds: a worker that dies younger than this is in a crash loop."""
LONGEST_DELAY: Final = 10.0
RAPID_DEATHS_ALLOWED: Final = 8
START_SECONDS: Final = 30.0
"""In which a worker has to be up."""
LONGEST_DRAIN: Final = 9.7
"""Seconds that a worker has from SIGTERM; it ends itself before that if it still can."""
ANSWER_SECONDS: Final = 20
"""A worker that has not answered for so long hangs."""
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)


class GivenUp(Exception):
    """There is no keeping the workers alive; the text says why."""


class CannotStart(GivenUp):
    """A worker failed over its start, as every other one would."""


class Supervisor:
    """All workers; everything happens in the one thread of the main process.

    The kernel ends workers when the *thread* that started them ends.
    """

    def __init__(
        self, settings: Settings, *, reload: Callable[[], Settings], metrics: Path | None = None
    ) -> None:
        """`reload`: reads the settings again; it may raise ConfigError.

        `metrics`: the folder in which the workers count.
        """
        self.settings = settings
        self.metrics = WorkerMetrics(metrics, wanted=settings.web_concurrency)
        self.workers: set[WorkerProcess] = set()
        """Every one that lives."""
        self._reload = reload
        self._slots: list[_Slot] = []
        self._stop = asyncio.Event()
        self._restart = asyncio.Event()
        self._killed = False
        # A closed terminal ends what was started in it; a platform may give us one as well.
        self._ends_with_terminal = not settings.production and os.isatty(0)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code. Raises PortTaken."""
        self._heed_signals()
        workers = self.settings.web_concurrency
        share = SHARES and workers > 1
        first = listen(self.settings.address, self.settings.port, shared=share)
        for number in range(workers):
            own = share and number > 0
            listener = (
                listen(self.settings.address, self.settings.port, shared=True) if own else first
            )
            self._slots.append(_Slot(number + 1, self, listener, shares=share))
        jobs = [asyncio.create_task(slot.keep()) for slot in self._slots]
        jobs.append(asyncio.create_task(self._restart_when_asked()))
        jobs.append(asyncio.create_task(self._watch()))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stop, *jobs], return_when=asyncio.FIRST_COMPLETED)
        failure = next((job.exception() for job in jobs if job.done()), None)
        for job in (stop, *jobs):
            job.cancel()
        if failure is None:
            return await self._stop_all()
        log.critical("%s; giving up", failure)
        if isinstance(failure, CannotStart):
            self.kill()
        await self._stop_all()
        if not isinstance(failure, GivenUp):
            raise failure
        return 1

    async def _watch(self) -> None:
        """Kill workers that hang: of their slot's connections none is answered any more."""
        while True:
            await asyncio.sleep(1)
            for worker in self.workers:
                if worker.up.done() and worker.ask() >= ANSWER_SECONDS:
                    log.error(
                        "%s has not answered for %d s: killing it", worker.name, ANSWER_SECONDS
                    )
                    worker.hung = True
                    worker.kill()
            self.metrics.tell(sum(slot.is_up for slot in self._slots))

    def start(
        self, name: str, identity: str, listener: socket.socket, *, must_be_ready: bool
    ) -> WorkerProcess:
        """Start a worker with the settings as they are. `identity`: what it counts by."""
        worker = WorkerProcess(
            name,
            self.settings,
            listener,
            must_be_ready=must_be_ready,
            metrics=self.metrics.place(identity),
        )
        worker.gone.add_done_callback(lambda _: self.metrics.forget(identity))
        self.workers.add(worker)
        return worker

    def is_served_without(self, slot: _Slot) -> bool:
        """Whether another slot has a worker that is up."""
        return any(one.is_up for one in self._slots if one is not slot)

    def kill(self) -> None:
        """End all workers here and now."""
        self._killed = True
        for worker in self.workers:
            worker.kill()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_or_kill)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in _IGNORED:
            loop.add_signal_handler(number, log.warning, "%s means nothing here", number.name)

    def _stop_or_kill(self) -> None:
        if self._stop.is_set() and not self._killed:
            log.warning("told to stop twice: killing the workers")
            self.kill()
        self._stop.set()

    def _hang_up(self) -> None:
        (self._stop if self._ends_with_terminal else self._restart).set()

    def _reap(self) -> None:
        """See which workers have ended."""
        self.workers = {worker for worker in self.workers if not worker.has_ended()}
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        # Nobody else in a container does.
        own = {worker.pid for worker in self.workers}
        options = os.WEXITED | os.WNOHANG
        with suppress(ChildProcessError):
            while (
                ended := os.waitid(os.P_ALL, 0, options | os.WNOWAIT)
            ) and ended.si_pid not in own:
                os.waitid(os.P_PID, ended.si_pid, options)

    async def _restart_when_asked(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            await self._restart_all()

    async def _restart_all(self) -> None:
        before = self.settings
        try:
            self.settings = self._reloaded()
        except ConfigError as fault:
            faults = "; ".join(str(fault).splitlines())
            log.error("SIGHUP: all stays as it is; %s", faults)  # noqa: TRY400 # without values
            return
        log.info("SIGHUP: restarting the workers one by one")
        proven = False
        for slot in self._slots:
            comes_up = await slot.restart()
            if comes_up:
                proven = True
            elif comes_up is False:
                if not proven:
                    self.settings = before
                log.error("SIGHUP: %s does not come up; the others stay as they are", slot.name)
                return
        log.info("SIGHUP: all workers are restarted")

    def _reloaded(self) -> Settings:
        old, new = self.settings, self._reload()
        changed = {
            "HOST": new.address != old.address,
            "PORT": new.port != old.port,
            "WEB_CONCURRENCY": new.web_concurrency != old.web_concurrency,
        }
        for name in (name for name, differs in changed.items() if differs):
            log.warning("SIGHUP: %s takes a new start of the service", name)
        for warning in (one for one in new.warnings if one not in old.warnings):
            log.warning(warning)
        kept = {"host": old.address, "port": old.port, "web_concurrency": old.web_concurrency}
        return new.model_copy(update=kept)

    async def _stop_all(self) -> int:
        """Have the workers finish what they are at, and no new connection wait for them."""
        workers = set(self.workers)
        for worker in workers:
            worker.be_unready()
        if not self._killed and self.settings.drain_seconds:
            unserved = [asyncio.create_task(slot.close_when_unserved()) for slot in self._slots]
            await self._wait_for(workers, self.settings.drain_seconds)
            for task in unserved:
                task.cancel()
        for slot in self._slots:
            slot.close()
        for worker in workers:
            worker.terminate()
        await self._wait_for(workers, LONGEST_DRAIN)
        for worker in workers:
            if not worker.gone.done():
                log.error("%s did not end in time: killing it", worker.name)
                worker.kill()
        await self._wait_for(workers, None)
        # What is left to do is to exit, and no signal is to decide how any more.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        well = all(worker.gone.result() in {0, -signal.SIGTERM} for worker in workers)
        return 0 if well and not self._killed else 1

    @staticmethod
    async def _wait_for(workers: set[WorkerProcess], seconds: float | None) -> None:
        if workers:
            await asyncio.wait([worker.gone for worker in workers], timeout=seconds)


def _delay_after(failures: int) -> float:
    """Seconds to the next try, after so many failures in a row."""
    return min(2.0 ** (failures - 2), LONGEST_DELAY)


class _Slot:
    """One of the WEB_CONCURRENCY places, its listening socket and the worker in it."""

    def __init__(
        self, number: int, supervisor: Supervisor, listener: socket.socket, *, shares: bool
    ) -> None:
        self.name = f"worker {number}"
        self._number = number
        self._generation = 0
        """Of the worker that serves, or is to; the one that finishes beside it has the other."""
        self._supervisor = supervisor
        self._listener = listener
        self._shares = shares
        self._worker: WorkerProcess | None = None
        self._changing = asyncio.Lock()
        self._rapid_deaths = 0

    @property
    def is_up(self) -> bool:
        """Whether a worker serves here."""
        worker = self._worker
        return worker is not None and worker.up.done() and not worker.gone.done()

    def close(self) -> None:
        """Hand no more connections to the worker than it can see."""
        self._listener.close()

    async def close_when_unserved(self) -> None:
        """Let nobody wait for a worker that is gone and is not replaced any more."""
        if self._worker is not None:
            await asyncio.wait([self._worker.gone])
        self.close()

    async def keep(self) -> None:
        """Have a worker here for ever. Raises GivenUp."""
        async with self._changing:  # a restart waits until it is up
            self._worker = worker = self._start(self._generation)
            if not await worker.comes_up(START_SECONDS) and not worker.was_killed:
                raise CannotStart(f"{self.name} cannot start, exit {worker.gone.result()}")
        while True:
            worker = self._worker
            either: list[asyncio.Future[Any]] = [worker.gone, worker.has_successor]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            async with self._changing:  # a successor may be on its way
                if self._worker is worker:
                    await self._replace(worker)

    async def restart(self) -> bool | None:
        """Have a new worker serve here before the old one leaves; False if none comes up.

        None where no worker serves: the next one has the new settings in any case.
        """
        async with self._changing:
            old = self._worker
            if old is None or not self.is_up:
                return None
            following = 1 - self._generation
            try:
                new = self._start(following, must_be_ready=True)
            except OSError:
                return False
            if not await new.comes_up(START_SECONDS):
                return False
            self._worker, self._generation = new, following
            self._supervisor.metrics.count_restart("asked")
        old.has_successor.set_result(None)
        old.terminate()
        await asyncio.wait([old.gone], timeout=LONGEST_DRAIN)
        if not old.gone.done():
            log.error("%s did not end in time: killing it", old.name)
            old.kill()
        return True

    async def _replace(self, dead: WorkerProcess) -> None:
        """Start a new worker, after a growing delay while they die young."""
        self._rapid_deaths = self._rapid_deaths + 1 if dead.seconds_up < RAPID else 0
        if self._rapid_deaths >= RAPID_DEATHS_ALLOWED:
            raise GivenUp(f"{self.name} cannot stay alive")
        delay = 0.0
        if self._rapid_deaths:
            delay = _delay_after(self._rapid_deaths)
        log.error("%s died, exit %s; next in %.1f s", self.name, dead.gone.result(), delay)
        if delay:
            await self._pause(delay)
        self._worker = await self._start_in_the_end()
        self._supervisor.metrics.count_restart("hung" if dead.hung else "died")
        await self._worker.comes_up(START_SECONDS)

    async def _start_in_the_end(self) -> WorkerProcess:
        """Start a worker once there is a process, a descriptor and memory for it.

        Raises GivenUp after some tries where no other worker serves.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return self._start(self._generation)
            except OSError as fault:
                if tries >= RAPID_DEATHS_ALLOWED and not self._supervisor.is_served_without(self):
                    raise GivenUp(f"{self.name} cannot be started") from fault
                delay = _delay_after(tries)
                log.error("%s does not start: %s; again in %.1f s", self.name, fault, delay)  # noqa: TRY400 # its text says it
                await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        """Let others have the new connections meanwhile, if there are others."""
        if self._shares and self._supervisor.is_served_without(self):
            self._listener.close()
        await asyncio.sleep(seconds)

    def _start(self, generation: int, *, must_be_ready: bool = False) -> WorkerProcess:
        if self._listener.fileno() < 0:
            settings = self._supervisor.settings
            self._listener = listen(settings.address, settings.port, shared=True)
        # Two at a time can live here, never three: so a worker goes on where one before it ended.
        identity = f"{self._number}{'ab'[generation]}"
        return self._supervisor.start(
            self.name, identity, self._listener, must_be_ready=must_be_ready
        )
