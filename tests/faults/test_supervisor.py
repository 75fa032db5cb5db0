"""Signals to the main process, and workers that do not come up or do not stay."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_processes import all_answer, ask, log_in
from tests.support.ports import free_port
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    _family,
    complete_environment,
    eventually,
)
from tests.support.stopwatch import Stopwatch
from tests.support.workers import in_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

RESTARTED = "all workers are restarted"


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


async def restart(service: ServiceProcess) -> None:
    before = service.output.count(RESTARTED)
    service.signal(signal.SIGHUP)
    await eventually(
        lambda: service.output.count(RESTARTED) > before, within=30, what="all are restarted"
    )


@pytest.mark.bar("F2")
async def test_sighup_restarts_every_worker_and_loses_no_request(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    """Asked on connections that are kept, as proxies do, and by many in turn."""
    environment = complete_environment(redis=redis.url, wechat=simulator.url, WEB_CONCURRENCY="2")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=5)
        sessionid = await log_in(service, await simulator.code())
        before = service.workers
        statuses: list[int] = []
        cut_off: list[Exception] = []
        over = asyncio.Event()

        async def keep_asking() -> None:
            connection = None
            while not over.is_set():
                connection = connection or await Connection.open(service.port)
                try:
                    reply = await connection.ask("GET", "/session", sessionid=sessionid)
                except (OSError, EOFError, RuntimeError) as fault:  # the last one is uvloop's
                    cut_off.append(fault)
                    break
                statuses.append(reply.status)
                if reply.headers["connection"] == "close":
                    connection.abort()
                    connection = None
                await asyncio.sleep(0.01)
            if connection:
                connection.abort()

        async with asyncio.TaskGroup() as clients:
            for _ in range(8):
                clients.create_task(keep_asking())
            await restart(service)
            over.set()
        assert set(statuses) == {200}
        assert cut_off == []
        assert len(service.workers) == 2
        assert not service.workers & before
        assert "ERROR" not in service.output
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10) == 0


async def test_sighup_reads_the_settings_again_and_keeps_those_that_are_valid(
    redis: RedisServer, tmp_path: Path
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("ACCESS_LOG=false\n")
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        before = service.workers

        dotenv.write_text("SESSION_TTL=canary\nACCESS_LOG=true\n")
        service.signal(signal.SIGHUP)
        await eventually(
            lambda: "all stays as it is; SESSION_TTL" in service.output, within=5, what="refused"
        )
        assert "canary" not in service.output
        assert service.workers == before

        dotenv.write_text("ACCESS_LOG=true\nWEB_CONCURRENCY=2\nREDIS_URL=redis://elsewhere\n")
        await restart(service)
        assert (await ask(service, "GET", "/readyz"))[0] == 200  # the environment's Redis wins
        assert " answered method=GET route=/readyz status=200 " in service.output
        assert "WEB_CONCURRENCY takes a new start" in service.output
        assert service.output.count("ENVIRONMENT is development") == 1  # said at the start
        assert len(service.workers) == 1
        assert not service.workers & before


async def test_when_a_restarted_worker_does_not_come_up_the_old_one_stays(
    redis: RedisServer, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    path = in_workers(tmp_path, f"import os; os.path.exists({str(broken)!r}) and os._exit(7)")
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=path
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        before = service.workers
        broken.touch()
        service.signal(signal.SIGHUP)
        await eventually(
            lambda: "worker 1 does not come up" in service.output, within=10, what="it is said"
        )
        assert service.workers == before
        assert (await ask(service, "GET", "/readyz"))[0] == 200
        broken.unlink()
        await restart(service)
        assert not service.workers & before


async def test_settings_with_which_a_worker_finds_nothing_change_nothing(
    redis: RedisServer, tmp_path: Path
) -> None:
    """A wrong password looks as good as a right one until somebody tries it."""
    (tmp_path / ".env").write_text(f"REDIS_URL={redis.url}\n")
    environment = complete_environment(redis="", wechat="http://127.0.0.1:1")
    del environment["REDIS_URL"]
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        before = service.workers
        (tmp_path / ".env").write_text("REDIS_URL=redis://127.0.0.1:1\n")
        service.signal(signal.SIGHUP)
        await eventually(
            lambda: "worker 1 does not come up" in service.output, within=20, what="it is said"
        )
        assert "cannot serve: redis: unreachable" in service.output
        assert service.workers == before
        assert (await ask(service, "GET", "/readyz"))[0] == 200


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT])
@pytest.mark.bar("F6")
async def test_other_signals_change_nothing(
    redis: RedisServer, tmp_path: Path, number: signal.Signals
) -> None:
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        before = service.workers
        service.signal(number)
        for pid in before:
            service.signal(number, pid)
            service.signal(signal.SIGHUP, pid)
        await eventually(lambda: number.name in service.output, within=5, what="it is logged")
        assert (await ask(service, "GET", "/readyz"))[0] == 200
        assert service.workers == before
        service.signal(signal.SIGTERM)
        assert await service.ended(within=10) == 0
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


async def test_a_worker_that_cannot_start_ends_the_service_at_once(
    redis: RedisServer, tmp_path: Path
) -> None:
    path = in_workers(tmp_path, "import os; os._exit(7)")
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=path, WEB_CONCURRENCY="2"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        assert await service.ended(within=10) == 1
        assert "cannot start, exit 7; giving up" in service.output
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


QUICKLY = """
from service import supervisor, __main__
supervisor.START_SECONDS = 1.0
__main__.main([])
"""


async def test_a_worker_that_is_not_up_in_time_ends_the_service(
    redis: RedisServer, tmp_path: Path
) -> None:
    path = in_workers(tmp_path, "import time; time.sleep(600)")
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=path
    )
    command = (sys.executable, "-c", QUICKLY)
    async with ServiceProcess(environment, home=tmp_path, command=command) as service:
        assert await service.ended(within=20) == 1
        assert "worker 1 is not up after 1 s" in service.output
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


@pytest.mark.bar("F6")
async def test_a_worker_killed_while_its_siblings_start_is_replaced(
    redis: RedisServer, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    once = (
        "import os, time\n"
        f"try: os.mkdir({str(killed)!r})\n"
        "except FileExistsError: time.sleep(0.5)\n"
        "else: os.kill(os.getpid(), 9)\n"
    )
    path = in_workers(tmp_path, once)
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=path, WEB_CONCURRENCY="3"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 3, within=20)
        assert service.output.count("died, exit -9") == 1


async def test_while_one_worker_is_in_a_crash_loop_the_others_have_all_connections(
    redis: RedisServer, tmp_path: Path
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", WEB_CONCURRENCY="2"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=5)
        staying, *_ = service.workers
        deaths = 0
        # Until it waits for some seconds before the next start.
        while "next in 4.0 s" not in service.output:
            for pid in service.workers - {staying}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    deaths += 1
            await asyncio.sleep(0.01)
            assert deaths < 20, service.output
        watch = Stopwatch()
        for _ in range(30):
            assert (await ask(service, "GET", "/livez"))[0] == 200
        assert service.workers == {staying}
        assert watch.seconds < 4
        await all_answer(service, 2, within=10)


async def test_a_second_sigterm_kills(redis: RedisServer, tmp_path: Path) -> None:
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        for pid in service.workers:
            service.signal(signal.SIGSTOP, pid)
        service.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        assert service.process.poll() is None
        service.signal(signal.SIGTERM)
        assert await service.ended(within=5) == 1
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


IMPATIENT = """
from service import supervisor, __main__
supervisor.ANSWER_SECONDS = 3
__main__.main([])
"""


@pytest.mark.bar("F3")
async def test_a_worker_that_hangs_is_replaced(redis: RedisServer, tmp_path: Path) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", WEB_CONCURRENCY="2"
    )
    command = (sys.executable, "-c", IMPATIENT)
    async with ServiceProcess(environment, home=tmp_path, command=command) as service:
        await service.ready()
        await all_answer(service, 2, within=10)
        before = service.workers
        hanging = min(before)
        service.signal(signal.SIGSTOP, hanging)
        await eventually(lambda: hanging not in service.workers, within=20, what="it is gone")
        await all_answer(service, 2, within=10)
        assert len(service.workers & before) == 1
        assert "has not answered for 3 s: killing it" in service.output


async def ended_under(service: ServiceProcess, number: signal.Signals) -> int:
    """Tell it to stop, and again and again by `number` when all is over; the exit code."""
    await eventually(lambda: len(service.workers) == 1, within=20, what="a worker serves")
    [worker] = service.workers
    service.signal(signal.SIGTERM)
    await eventually(lambda: worker not in service.workers, within=10, what="all is over")
    while service.process.poll() is None:
        service.signal(number)
        await asyncio.sleep(0)  # at the very end there are few moments
    return service.process.returncode


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM])
async def test_no_signal_decides_how_it_ends_once_all_is_over(
    redis: RedisServer, tmp_path: Path, number: signal.Signals
) -> None:
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        code = await ended_under(service, number)
    assert code in ({0, 1} if number == signal.SIGTERM else {0})


async def test_nor_while_something_waits_for_it_to_be_ready(tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}"
    environment = complete_environment(redis=nowhere, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        assert await ended_under(service, signal.SIGTERM) in {0, 1}


UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def may_unshare() -> bool:
    return bool(shutil.which("unshare")) and subprocess.call((*UNSHARE, "true")) == 0  # noqa: S603


async def test_no_orphan_stays_where_it_is_the_first_process(
    redis: RedisServer, tmp_path: Path
) -> None:
    """As in a container, where the kernel makes it the parent of all that have lost theirs."""
    if not await asyncio.to_thread(may_unshare):
        pytest.skip("needs unshare, and leave to make a namespace of processes")
    path = in_workers(tmp_path, "import os; os.system('sleep 0.1 & sleep 0.2 &')")
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", PYTHONPATH=path
    )
    command = (*UNSHARE, sys.executable, "-m", "service")
    async with ServiceProcess(environment, home=tmp_path, command=command) as service:
        await service.ready()
        await eventually(
            lambda: (
                all(one.is_alive for one in _family(service.pid))
                and not any("sleep" in one.command for one in _family(service.pid))
            ),
            within=5,
            what="the orphans have ended, and somebody has noticed",
        )


async def test_a_first_process_that_still_starts_heeds_sigterm(
    redis: RedisServer, tmp_path: Path
) -> None:
    """The kernel gives it none that it has no handler for."""
    if not await asyncio.to_thread(may_unshare):
        pytest.skip("needs unshare, and leave to make a namespace of processes")
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    command = (*UNSHARE, sys.executable, "-c", SLOWLY)
    async with ServiceProcess(environment, home=tmp_path, command=command) as service:
        await eventually(lambda: "importing" in service.output, within=10, what="it imports")
        [first] = [one for one in _family(service.pid) if one.command.startswith(sys.executable)]
        os.kill(first.pid, signal.SIGTERM)
        assert await service.ended(within=5) == 128 + signal.SIGTERM


SLOWLY = """
import runpy, sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == "service.supervisor":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
sys.argv = ["service"]
runpy.run_module("service", run_name="__main__")
"""
