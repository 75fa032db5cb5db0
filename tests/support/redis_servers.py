"""Several Redis servers on loopback, to kill, freeze and start again."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.children import spawn
from tests.support.process import _redis_program
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable

HABITS: Final = (
    *("--save", "", "--appendonly", "no"),
    *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
    *("--repl-ping-replica-period", "1"),
)


class RedisProcess:
    """One redis-server on a port of its own, which it keeps through kills and restarts."""

    def __init__(
        self,
        home: Path,
        port: int,
        *options: str,
        config: str | None = None,
        password: str | None = None,
    ) -> None:
        """`password`: what its options, or its config, ask for."""
        self.port = port
        self._home = home
        self._config = [config] if config else []
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(
            port=port, password=password, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )

    def __repr__(self) -> str:
        return f"redis:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return self.client.ping() is True
        return False

    @property
    def last_words(self) -> str:
        """The end of its log, for whoever wonders why it does not answer."""
        return (self._home / "log").read_text(errors="replace")[-500:]

    @property
    def is_primary(self) -> bool:
        with suppress(redis.RedisError):
            return bytes(self.role[0]) == b"master"
        return False

    @property
    def role(self) -> list[Any]:
        """What ROLE says: its part, and in the case of a primary its replicas."""
        return list(self.client.execute_command("ROLE"))

    def start(self) -> None:
        self._home.mkdir(exist_ok=True)
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._home)]
        options = [*self._config, *place, *self._options]
        with (self._home / "log").open("ab") as log:
            self._process = spawn([_redis_program(), *options], stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL; may be repeated."""
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.send_signal(number)


class RedisServers:
    """Servers that end together."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="minigate-")
        self.home = Path(self._folder.name)
        self.nodes: list[RedisProcess] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    async def start(self) -> None:
        try:
            await self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for process in self._all():
            process.kill()
        self._folder.cleanup()

    def primaries(self) -> list[RedisProcess]:
        return [node for node in self.nodes if node.is_primary]

    async def _start(self) -> None:
        raise NotImplementedError

    def _all(self) -> Iterable[RedisProcess]:
        return self.nodes

    def replicas_of(self, primary: RedisProcess) -> list[RedisProcess]:
        """Those whose link to it is up, by its own account."""
        part, *rest = primary.role
        ports = {int(replica[1]) for replica in rest[1]} if part == b"master" else set()
        return [node for node in self.nodes if node.port in ports]


async def until(holds: Callable[[], bool], *, within: float, what: str) -> None:
    """`eventually`, for what servers are asked: they may be away, and nobody else should wait."""

    def safely() -> bool:
        with suppress(redis.RedisError, AssertionError, ValueError):
            return holds()
        return False

    watch = Stopwatch()
    while not await asyncio.to_thread(safely):
        assert not watch.exceeds(within), f"not within {within} s: {what}"
        await asyncio.sleep(0.02)
