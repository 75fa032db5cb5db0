"""Starting, stopping and dying: the service as an operator meets it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from service import supervisor
from tests.support.effort import effort
from tests.support.ports import free_port
from tests.support.process import (
    LINUX_ONLY,
    REPOSITORY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.settings import APP_SECRET, SECRET_KEY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.figure import Figure
    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

BIN = Path(sys.executable).parent


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


async def ask(
    service: ServiceProcess, method: str, path: str, sessionid: str | None = None, body: bytes = b""
) -> tuple[int, bytes]:
    async with asyncio.timeout(10), await Connection.open(service.port) as connection:
        reply = await connection.ask(method, path, sessionid=sessionid, body=body)
    return reply.status, reply.body


async def log_in(service: ServiceProcess, code: str) -> str:
    status, body = await ask(service, "POST", "/login", body=orjson.dumps({"code": code}))
    assert status == 200, body
    return str(orjson.loads(body)["data"]["sessionid"])


async def all_answer(service: ServiceProcess, workers: int, *, within: float) -> float:
    """Wait until so many workers have answered; returns the seconds that took."""
    watch = Stopwatch()
    answered: set[int] = set()
    while len(answered) < workers:
        assert not watch.exceeds(within), (answered, service.output)
        try:
            async with asyncio.timeout(1), await Connection.open(service.port) as connection:
                if (await connection.ask("GET", "/readyz")).status == 200:
                    worker = service.worker_of(connection)
                    answered |= {worker} if worker else set()
        except (OSError, EOFError, TimeoutError):
            await asyncio.sleep(0.01)
        answered &= service.workers
    service.look()
    return watch.seconds


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def stand_ins(**more: str) -> dict[str, str]:
    return {"SIMULATOR_PORT": str(free_port()), **more}


async def refusal(environment: Mapping[str, str], home: Path) -> tuple[int, float, str]:
    """The exit code of a service that must not start, the seconds it took, and what it said."""
    async with ServiceProcess(environment, home=home) as service:
        watch = Stopwatch()
        while service.process.poll() is None:
            assert not watch.exceeds(10), service.output
            await asyncio.sleep(0.01)
        code, took = service.process.wait(), watch.seconds
        await eventually(lambda: not service.remains, within=2, what="nothing is left")
        return code, took, service.output


async def test_with_nothing_configured_it_serves_and_says_how_to_log_in(tmp_path: Path) -> None:
    async with ServiceProcess(stand_ins(), home=tmp_path) as service:
        first = await service.ready()
        await eventually(lambda: "Ctrl-C" in service.output, within=2, what="the banner is out")
        [line] = [line for line in service.output.splitlines() if "curl" in line]
        if shutil.which("curl"):
            command = line.partition("Log in:")[2].strip()
            said = await asyncio.to_thread(
                subprocess.run, ["/bin/sh", "-c", command], capture_output=True, check=True
            )
            sessionid = orjson.loads(said.stdout)["data"]["sessionid"]
            status, products = await ask(service, "GET", "/wx/products/list", sessionid)
            assert (status, orjson.loads(products)["code"]) == (200, 0)
        service.signal(signal.SIGTERM)
        assert await service.ended(within=5) == 0

    watch = Stopwatch()
    async with ServiceProcess(stand_ins(), home=tmp_path) as service:
        await service.ready()
        second = watch.seconds
    print(f"first start {first:.2f} s, second {second:.2f} s")  # noqa: T201 # figures to keep
    assert second < 5


@pytest.mark.parametrize("workers", [1, 2])
async def test_ctrl_c_ends_everything_and_exits_0(tmp_path: Path, workers: int) -> None:
    environment = stand_ins(WEB_CONCURRENCY=str(workers))
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, workers, within=5)
        service.interrupt()
        assert await service.ended(within=5) == 0
        await eventually(lambda: not service.remains, within=2, what="nothing is left")
        assert "Traceback" not in service.output
        assert is_free(service.port)
        assert is_free(int(environment["SIMULATOR_PORT"]))


async def test_ctrl_c_while_it_starts_leaves_nothing_either(tmp_path: Path) -> None:
    for moment in effort((0.1, 0.5, 0.9), (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)):
        async with ServiceProcess(stand_ins(), home=tmp_path) as service:
            await asyncio.sleep(moment)
            service.interrupt()
            code = await service.ended(within=5)
            # On a busy machine Python itself is not there yet, and says so with a 1.
            not_begun = code == 1 and "Could not import runpy module" in service.output
            assert code in {-signal.SIGINT, 0, 130} or not_begun, service.output
            await eventually(lambda one=service: not one.remains, within=2, what="nothing is left")  # type: ignore[misc]


CTRL_C_IN_C = """
import os, signal, sys, weakref

class Interruption:
    def find_spec(self, name, *_):
        if name == os.environ["INTERRUPT_AT"]:
            # What is raised in such a callback is printed, and goes no further.
            weakref.ref(type("Gone", (), {})(), lambda _: os.kill(os.getpid(), signal.SIGINT))

sys.meta_path.insert(0, Interruption())
"""


@pytest.mark.parametrize("module", ["pydantic", "sqlalchemy", "service.supervisor"])
async def test_ctrl_c_in_the_midst_of_an_import_is_not_lost(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(CTRL_C_IN_C)
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    environment = stand_ins(PYTHONPATH=path, INTERRUPT_AT=module)
    async with ServiceProcess(environment, home=tmp_path) as service:
        assert await service.ended(within=10) == -signal.SIGINT, service.output
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


@pytest.mark.parametrize("gently", [False, True], ids=["ctrl-c", "honcho"])
@pytest.mark.parametrize("later", effort([0, 0.05, 0.15], [0, 0.02, 0.05, 0.1, 0.15]))
async def test_a_signal_while_a_worker_starts_leaves_nothing(
    tmp_path: Path, later: float, *, gently: bool
) -> None:

    def worker_is_there() -> bool:
        service.look()
        return any("service.worker" in one.command for one in service.remains)

    async with ServiceProcess(stand_ins(), home=tmp_path) as service:
        await eventually(worker_is_there, within=10, what="a worker is there")
        await asyncio.sleep(later)
        service.interrupt(gently=gently)
        assert await service.ended(within=5) == 0
        await eventually(lambda: not service.remains, within=2, what="nothing is left")
        assert "__main__.py" not in service.output  # no traceback of the main process


async def test_when_the_main_process_is_killed_nothing_keeps_a_port(tmp_path: Path) -> None:
    environment = stand_ins(WEB_CONCURRENCY="2")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=5)
        assert len(service.remains) == 5  # the main process, two workers, Redis and the simulator
        service.signal(signal.SIGKILL)
        assert await service.ended(within=2) == -signal.SIGKILL
        await eventually(lambda: not service.remains, within=2, what="they are gone")
        # A process counts as gone while threads of it still end, and keep what it has open.
        ports = (service.port, int(environment["SIMULATOR_PORT"]))
        await eventually(lambda: all(map(is_free, ports)), within=2, what="the ports are free")


@pytest.mark.bar("F3")
async def test_workers_that_are_killed_are_replaced(
    redis: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat=simulator.url, WEB_CONCURRENCY="2", LOGIN_COALESCE_MS="0"
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=5)
        sessionid = await log_in(service, await simulator.code())
        took = {}
        for number in (1, 2):
            # One that dies young is replaced ever later; these have grown up.
            await asyncio.sleep(supervisor.RAPID)
            killed = sorted(service.workers)[:number]
            for pid in killed:
                service.signal(signal.SIGKILL, pid)
            await eventually(
                lambda killed=killed: not {*killed} & {one.pid for one in service.remains},  # type: ignore[misc]
                within=1,
                what="they are dead",
            )
            took[number] = await all_answer(service, 2, within=2)
            assert not service.workers & {*killed}
            assert (await ask(service, "GET", "/session", sessionid))[0] == 200
        assert service.output.count("died") == 3
        service.signal(signal.SIGTERM)
        assert await service.ended(within=5) == 0
    figure(f"one back after {took[1]:.2f} s, both after {took[2]:.2f} s")


async def test_a_crowd_that_comes_in_one_instant_waits_in_the_kernel(
    redis: RedisServer, tmp_path: Path
) -> None:
    """Whom the kernel turns away connects again a second later, at the earliest."""
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service, AsyncExitStack() as crowd:
        await service.ready()
        await all_answer(service, 1, within=5)
        for pid in service.workers:
            service.signal(signal.SIGSTOP, pid)
        watch = Stopwatch(alone=True)
        connections = [
            await crowd.enter_async_context(await Connection.open(service.port)) for _ in range(500)
        ]
        assert watch.seconds < 0.9
        for pid in service.workers:
            service.signal(signal.SIGCONT, pid)
        answers = await asyncio.gather(*(one.ask("GET", "/livez") for one in connections))
        assert Counter(answer.status for answer in answers) == {200: 500}


@pytest.mark.bar("F1")
@pytest.mark.parametrize("group", [False, True], ids=["main process", "process group"])
async def test_sigterm_lets_logins_under_way_finish(
    redis: RedisServer, simulator: Simulator, tmp_path: Path, figure: Figure, *, group: bool
) -> None:
    count = effort(50, 200)
    environment = complete_environment(
        redis=redis.url,
        wechat=simulator.url,
        WEB_CONCURRENCY="2",
        WECHAT_CONCURRENCY="200",
        REDIS_TIMEOUT_MS="2000",
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 2, within=5)
        await simulator.fault("latency", median_ms=1000, tail_ms=1000)
        codes = [await simulator.code(f"user-{number}") for number in range(count)]
        logins = [asyncio.create_task(log_in(service, code)) for code in codes]
        while await simulator.exchanges() < count:
            await asyncio.sleep(0.01)
        watch = Stopwatch()
        if group:
            service.interrupt(gently=True)
        else:
            service.signal(signal.SIGTERM)
        became = await asyncio.gather(*logins, return_exceptions=True)
        sessions = [one for one in became if isinstance(one, str)]
        assert len(set(sessions)) == count, "some are lost"
        assert await service.ended(within=10) == 0
        figure(f"0 of {count} logins lost, exit 0 after {watch.seconds:.2f} s")
        await eventually(lambda: not service.remains, within=2, what="nothing is left")

    await simulator.heal()
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        seen = Counter([(await ask(service, "GET", "/session", one))[0] for one in sessions])
        assert seen == {200: count}


async def test_sigterm_while_it_starts_its_workers_ends_it_too(
    redis: RedisServer, tmp_path: Path
) -> None:
    environment = complete_environment(
        redis=redis.url, wechat="http://127.0.0.1:1", WEB_CONCURRENCY="6"
    )
    for _ in range(effort(1, 5)):
        async with ServiceProcess(environment, home=tmp_path) as service:
            while service.children < 1:
                assert service.process.poll() is None, service.output
                await asyncio.sleep(0)
            service.signal(signal.SIGTERM)
            assert await service.ended(within=5) == 0, service.output


SLOW_IN_C = """
import sys, time, weakref

class Slow:
    def find_spec(self, name, *_):
        if name == "service.app" and "service.worker" in sys.orig_argv:
            # What is raised in such a callback is printed, and goes no further.
            weakref.ref(type("Gone", (), {})(), self.wait)

    def wait(self, _):
        print("a worker imports", flush=True)
        time.sleep(0.5)

sys.meta_path.insert(0, Slow())
"""


async def test_sigterm_ends_workers_in_the_midst_of_an_import(
    redis: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_IN_C)
    environment = complete_environment(
        redis=redis.url,
        wechat="http://127.0.0.1:1",
        WEB_CONCURRENCY="2",
        PYTHONPATH=os.pathsep.join((str(tmp_path), str(REPOSITORY))),
    )
    async with ServiceProcess(environment, home=tmp_path) as service:
        await eventually(
            lambda: service.output.count("a worker imports") == 2, within=10, what="both import"
        )
        service.signal(signal.SIGTERM)
        assert await service.ended(within=5) == 0, service.output
        assert "Traceback" not in service.output


@pytest.mark.bar("F4")
@pytest.mark.parametrize("sign", [{"ENVIRONMENT": "production"}, {"DYNO": "web.1"}])
async def test_production_names_all_that_is_missing_and_starts_nothing(
    tmp_path: Path, sign: dict[str, str]
) -> None:
    code, took, output = await refusal({**sign, **stand_ins()}, tmp_path)
    assert code not in {0, 1}
    assert took < 2
    for name in ("REDIS_URL", "WECHAT_APPID", "WECHAT_SECRET", "SECRET_KEYS"):
        assert output.count(name) == 1
    assert "Traceback" not in output


@pytest.mark.bar("F4")
async def test_production_shows_no_value_of_a_setting_that_is_wrong(tmp_path: Path) -> None:
    values = {
        "REDIS_URL": "http://canary-1:canary-2@localhost",
        "WECHAT_APPID": "canary-3",
        "SECRET_KEYS": "canary-4-too-short",
        "SESSION_TTL": "canary-5",
        "WECHAT_API_BASE": "canary-6",
    }
    code, took, output = await refusal({"ENVIRONMENT": "production", **values}, tmp_path)
    assert code not in {0, 1}
    assert took < 2
    assert "canary" not in output
    for name in ("REDIS", "SECRET_KEYS", "SESSION_TTL", "WECHAT_API_BASE", "WECHAT_SECRET"):
        assert name in output


async def test_what_a_worker_would_fail_over_is_refused_in_one_go(tmp_path: Path) -> None:
    values = {
        "REDIS_URL": "redis://:canary/canary@127.0.0.1:6379/0",
        "DATABASE_URL": "postgresql://u:canary@canary@h:canary/db",
        "AUTH_ERROR_STATUS": "canary",
        "WECHAT_APPID": "  ",
    }
    code, took, output = await refusal({"ENVIRONMENT": "production", **values}, tmp_path)
    assert code == 2
    assert took < 2
    assert "canary" not in output
    assert "Traceback" not in output
    for name in (*values, "WECHAT_SECRET", "SECRET_KEYS"):
        assert name in output


async def test_a_dotenv_file_that_windows_saved_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# 金丝雀\nPORT=9001\n", encoding="gbk")
    code, _, output = await refusal({}, tmp_path)
    assert code == 2
    assert ".env is not UTF-8: save it as UTF-8" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("complete", [False, True], ids=["bare", "complete"])
async def test_a_port_that_is_taken_is_named(
    redis: RedisServer, tmp_path: Path, *, complete: bool
) -> None:
    environment = stand_ins()
    if complete:
        environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, took, output = await refusal({**environment, "PORT": port}, tmp_path)
    assert code != 0
    assert port in output
    assert "in use" in output
    assert "Traceback" not in output
    assert took < 5


async def test_a_simulator_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, output = await refusal({"SIMULATOR_PORT": port}, tmp_path)
    assert code != 0
    assert f":{port} (Address already in use)" in output
    assert "SIMULATOR_PORT" in output


async def test_the_procfile_serves(
    redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    shutil.copy(REPOSITORY / "Procfile", tmp_path)
    environment = complete_environment(
        redis=redis.url, wechat=simulator.url, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}"
    )
    command = (str(BIN / "honcho"), "start", "web")
    async with ServiceProcess(environment, home=tmp_path, command=command) as service:
        await service.ready()
        sessionid = await log_in(service, await simulator.code())
        assert (await ask(service, "GET", "/session", sessionid))[0] == 200
        service.signal(signal.SIGTERM)
        await service.ended(within=5)
        await eventually(lambda: not service.remains, within=2, what="nothing is left")


@pytest.mark.parametrize("sign", [{"ENVIRONMENT": "production"}, {"DYNO": "web.1"}])
async def test_in_production_all_configured_it_serves_without_the_demo(
    redis: RedisServer, tmp_path: Path, sign: dict[str, str]
) -> None:
    environment = complete_environment(redis=redis.url, wechat="https://127.0.0.1:1", **sign)
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        assert (await ask(service, "GET", "/wx/products/list"))[0] == 404
        assert (await ask(service, "GET", "/session"))[0] == 401
        status, body = await ask(service, "POST", "/login", body=b'{"code": "0code"}')
        assert (status, orjson.loads(body)["code"]) == (502, 50200)
        assert len(service.remains) == 2  # main and its worker: no stand-in
        service.signal(signal.SIGTERM)
        assert await service.ended(within=5) == 0
        for value in (APP_SECRET, SECRET_KEY, "0code"):
            assert value not in service.output
        assert "stand-ins for" not in service.output


@pytest.mark.bar("F4")
async def test_it_starts_without_redis_and_is_ready_as_soon_as_that_is_there(
    redis: RedisServer, tmp_path: Path, figure: Figure
) -> None:
    redis.kill()
    environment = complete_environment(redis=redis.url, wechat="http://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        watch = Stopwatch()
        while True:
            assert not watch.exceeds(5)
            try:
                if (await ask(service, "GET", "/livez"))[0] == 200:
                    break
            except (OSError, EOFError):
                await asyncio.sleep(0.01)
        alive = watch.seconds
        assert (await ask(service, "GET", "/readyz"))[0] == 503
        await redis.start()
        ready = await service.ready(within=2)
    figure(f"alive after {alive:.2f} s, ready {ready:.2f} s after Redis")
    assert ready < 2
