"""``python -m service.simulator`` as a process."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from service.simulator.__main__ import main
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "service.simulator"]


def environment(**variables: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SIMULATOR_")}
    for name in ("ENVIRONMENT", "DYNO"):
        kept.pop(name, None)
    return {**kept, "SIMULATOR_PORT": "0", **variables}


@contextmanager
def running(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield the process and the port that its first line tells."""
    with subprocess.Popen(  # noqa: S603
        command, env=environment(SANIC_ACCESS_LOG="1"), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            yield process, int(found[1])
        finally:
            process.kill()


def ask(port: int, method: str, uri: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, uri, body)
        return connection.getresponse().read()
    finally:
        connection.close()


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quickly_and_quietly_although_a_call_hangs(stop: signal.Signals) -> None:
    with running(COMMAND) as (process, port):
        ask(port, "POST", "/sim/faults", '{"kind": "hang"}')
        with socket.create_connection(("127.0.0.1", port)) as hanging:
            hanging.sendall(b"GET /sns/jscode2session?js_code=canary HTTP/1.1\r\nHost: x\r\n\r\n")
            while b'"total":1' not in ask(port, "GET", "/sim/stats"):
                time.sleep(0.01)
            watch = Stopwatch()
            process.send_signal(stop)
            while process.poll() is None:
                assert not watch.exceeds(2)
                time.sleep(0.01)
            assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process of this")
def test_it_ends_with_its_parent() -> None:
    script = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'service.simulator'])\n"
        "time.sleep(60)"
    )
    with running([sys.executable, "-c", script]) as (parent, port):
        assert is_listening(port)
        parent.kill()
        for _ in range(200):
            if not is_listening(port):
                break
            time.sleep(0.02)
        assert not is_listening(port)


def test_production_ends_it_with_a_message_and_a_status() -> None:
    ended = subprocess.run(  # noqa: S603
        COMMAND,
        env=environment(ENVIRONMENT="production"),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert "it does not run with ENVIRONMENT=production" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DYNO": "web.1"}, "DYNO is set"),
        ({"SIMULATOR_PORT": "80x"}, "SIMULATOR_PORT: "),
        ({"SIMULATOR_APPS": "[]"}, "SIMULATOR_APPS: no app is listed"),
        ({"SIMULATOR_APPS": '[{"appid": "wxa"}]'}, "SIMULATOR_APPS.0.secret: "),
        ({"SIMULATOR_APPS": "[canary"}, "SIMULATOR_APPS is not the JSON it should be"),
    ],
)
def test_settings_that_do_not_do_are_named(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    message: str,
) -> None:
    monkeypatch.setattr(os, "environ", environment(**variables))
    caplog.set_level("INFO", logger="service.simulator")
    assert main() == 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert message in caplog.text
    assert "canary" not in caplog.text


def test_a_port_in_use_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="service.simulator")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(os, "environ", environment(SIMULATOR_PORT=str(port)))
        assert main() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in caplog.text
