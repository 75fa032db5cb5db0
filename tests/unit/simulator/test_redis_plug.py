"""Unplugging Redis: a process of the test's own stands in for it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.simulator.control.redis import RedisPlug
from tests.unit.simulator.harness import Client, Clock
from tests.unit.simulator.test_process import COMMAND, ask, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sees by /proc what is stopped")


@pytest.fixture
def redis() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def plugged(clock: Clock, redis: subprocess.Popen[bytes]) -> Iterator[Client]:
    client = Client(clock, redis_pid=redis.pid)
    yield client
    client.close()


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def becomes(process: subprocess.Popen[bytes], *, stopped: bool) -> bool:
    give_up = time.monotonic() + 5
    while is_stopped(process) != stopped and time.monotonic() < give_up:
        time.sleep(0.005)
    return is_stopped(process) == stopped


def test_the_plug_is_pulled_and_put_back(plugged: Client, redis: subprocess.Popen[bytes]) -> None:
    assert plugged.get("/sim/redis").json() == {"plugged": True}
    for state in (False, False, True, True):
        assert plugged.post("/sim/redis", {"plugged": state}).json() == {"plugged": state}
        assert becomes(redis, stopped=not state)
        assert plugged.get("/sim/redis").json() == {"plugged": state}


def test_without_a_redis_of_ours_there_is_nothing_to_unplug(client: Client) -> None:
    for answer in (client.get("/sim/redis"), client.post("/sim/redis", {"plugged": False})):
        assert answer.status == 404
        assert "SIMULATOR_REDIS_PID" in answer.json()["error"]


@pytest.mark.parametrize("body", [{}, {"plugged": None}, {"plugged": 0}, {"plugged": "no"}])
def test_anything_but_true_and_false_is_told_what_to_send(
    plugged: Client, redis: subprocess.Popen[bytes], body: dict[str, Any]
) -> None:
    answer = plugged.post("/sim/redis", body)
    assert (answer.status, answer.json()["field"]) == (400, "plugged")
    assert not is_stopped(redis)


def test_a_redis_that_has_gone_is_no_bug_of_ours() -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        pass
    plug = RedisPlug(gone.pid)
    assert not plug.set(plugged=False)
    assert plug.plugged
    plug.restore()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_simulator_that_ends_leaves_no_redis_stopped(
    redis: subprocess.Popen[bytes], stop: signal.Signals
) -> None:
    variables = environment(SIMULATOR_REDIS_PID=str(redis.pid))
    with subprocess.Popen(COMMAND, env=variables, stderr=subprocess.PIPE, text=True) as simulator:  # noqa: S603
        assert simulator.stderr is not None
        port = int(simulator.stderr.readline().partition("127.0.0.1:")[2].split()[0])
        assert ask(port, "POST", "/sim/redis", '{"plugged": false}') == b'{"plugged":false}'
        assert becomes(redis, stopped=True)
        simulator.send_signal(stop)
        assert simulator.wait(timeout=10) == 0
    assert becomes(redis, stopped=False)
