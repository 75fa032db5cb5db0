"""Thousands that send nothing, or a byte a second, keep nobody else out. Linux only."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest

from service.http.deadlines import Deadlines
from tests.api.malformed import END, GET, POST
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    ServiceProcess,
    complete_environment,
    eventually,
    resident,
)
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.dev.embedded_redis import EmbeddedRedis

pytestmark = LINUX_ONLY

HEAD: Final = GET + b"\r\nA: "
BODY: Final = POST + b"\r\nContent-Length: 4000" + END
SLACK: Final = 1.0
"""Seconds beyond a deadline: connections are looked at twice a second."""


class Stalled(asyncio.Protocol):
    """A client that begins a request and leaves it at that."""

    def __init__(self, begin: bytes) -> None:
        self._begin = begin
        self._began = 0.0
        self.said = b""
        self.lasted: float | None = None
        """Seconds, once it is cut."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._began = time.monotonic()
        self.transport.write(self._begin)

    def data_received(self, data: bytes) -> None:
        self.said += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's
        self.lasted = time.monotonic() - self._began


async def stall(
    service: ServiceProcess,
    count: int,
    begin: bytes,
    *,
    let_in: bool = True,
    client: type[Stalled] = Stalled,
) -> list[Stalled]:
    """`count` clients that begin so; no faster than they are let in, if that is what happens."""
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(count):
        if let_in and number % 20 == 0:
            assert await status(service) == 200  # whoever came before is in by now
        _, one = await loop.create_connection(lambda: client(begin), "127.0.0.1", service.port)
        clients.append(one)
    return clients


async def status(service: ServiceProcess) -> int:
    async with asyncio.timeout(20), await Connection.open(service.port) as connection:
        return (await connection.ask("GET", "/livez")).status


def longest(clients: list[Stalled]) -> float:
    """Seconds that one of them lasted, all being cut."""
    return max(client.lasted or 1e9 for client in clients)


async def drip(clients: list[Stalled]) -> None:
    """A byte a second from each."""
    while True:
        for client in clients:
            if client.lasted is None:
                client.transport.write(b"x")
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def others_are_served(service: ServiceProcess) -> AsyncIterator[None]:
    """All the time that this lasts, a new connection is served within a second."""
    done = False

    async def ask() -> int:
        asked = 0
        while not done:
            watch = Stopwatch()
            assert await status(service) == 200
            assert not watch.exceeds(1)
            asked += 1
            await asyncio.sleep(0.02)
        return asked

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask())
        yield
        done = True
    assert asking.result() > 10


@contextlib.asynccontextmanager
async def serving(
    redis_server: EmbeddedRedis, home: Path, *, descriptors: int = 0
) -> AsyncIterator[ServiceProcess]:
    environment = complete_environment(redis=redis_server.url, wechat="http://127.0.0.1:1")
    limit = f"ulimit -n {descriptors};" if descriptors else ""
    command = ("sh", "-c", f"{limit} exec {sys.executable} -m service")
    async with ServiceProcess(environment, home=home, command=command) as service:
        await service.ready()
        yield service


def open_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def all_cut(clients: list[Stalled]) -> Callable[[], bool]:
    return lambda: all(client.lasted is not None for client in clients)


@pytest.mark.bar("D7")
async def test_two_thousand_drips_and_as_many_stalled_bodies_are_cut_in_time(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    allowed = Deadlines()
    async with serving(redis_server, tmp_path) as service:
        watch = Stopwatch()
        async with others_are_served(service):
            drips = await stall(service, 2000, HEAD)
            dripping = asyncio.create_task(drip(drips))
            bodies = await stall(service, 2000, BODY)
            await eventually(all_cut(drips + bodies), within=30, what="all are cut")
            dripping.cancel()
        watch.look(now=True)
        waited = watch.waited
        assert len(drips + bodies) == 4000
        assert longest(drips) < allowed.head + SLACK + waited
        assert longest(bodies) < allowed.body + SLACK + waited
        assert all(b'"code":40800' in client.said for client in drips + bodies)


async def test_seven_hundred_stalled_bodies_do_not_use_up_256_descriptors(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    async with serving(redis_server, tmp_path, descriptors=256) as service:
        watch = Stopwatch()
        async with others_are_served(service):
            bodies = await stall(service, 700, BODY)
            await eventually(all_cut(bodies), within=20, what="all are cut")
        watch.look(now=True)
        waited = watch.waited
        assert longest(bodies) < Deadlines().body + SLACK + waited
        assert "connections: keeping more than 64 failed" in service.output
        assert service.output.count("connections:") < 10


class Unread(Stalled):
    """A client that asks, and takes no answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        cast("asyncio.Transport", transport).pause_reading()
        super().connection_made(transport)


def with_a_picture(home: Path) -> bytes:
    """A request for it, thirty times: what keeps most."""
    uploads = home / "var/uploads"
    uploads.mkdir(parents=True)
    name = "0" * 40 + ".jpg"
    (uploads / name).write_bytes(bytes(187_000))
    return b"GET /uploads/%b HTTP/1.1\r\nHost: here\r\n\r\n" % name.encode() * 30


async def test_who_takes_no_answer_does_not_use_up_256_descriptors(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    ask = with_a_picture(tmp_path)
    async with serving(redis_server, tmp_path, descriptors=256) as service:
        async with others_are_served(service):
            unread = await stall(service, 300, ask, client=Unread)
            await asyncio.sleep(2)
        assert "connections: keeping more than 64 failed" in service.output
        for client in unread:
            client.transport.abort()


async def test_who_takes_no_answer_makes_a_worker_keep_little(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    ask = with_a_picture(tmp_path)
    async with serving(redis_server, tmp_path) as service:
        (worker,) = service.workers
        before = resident(worker)
        async with others_are_served(service):
            unread = await stall(service, 400, ask, client=Unread)
            await asyncio.sleep(2)
        assert resident(worker) - before < 170 * 2**20, "without bounds it is 287 MB"
        assert "ERROR" not in service.output
        for client in unread:
            client.transport.abort()


async def test_who_goes_on_asking_stays(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    async def keep_busy(connection: Connection) -> None:
        for _ in range(200):
            assert (await connection.ask("GET", "/readyz")).status == 200
            await asyncio.sleep(0.005)

    async with (
        serving(redis_server, tmp_path, descriptors=256) as service,
        await Connection.open(service.port) as busy,
    ):
        keeping = asyncio.create_task(keep_busy(busy))
        bodies = await stall(service, 700, BODY)
        await keeping
        assert sum(client.lasted is not None for client in bodies) > 600


async def test_a_worker_without_descriptors_says_so_and_recovers(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    async with serving(redis_server, tmp_path) as service:
        (worker,) = service.workers
        left = open_descriptors(worker) + 20
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (left, left))
        bodies = await stall(service, 200, BODY, let_in=False)
        watch = Stopwatch()
        while await service._status("/livez") != 200:
            assert not watch.exceeds(1)
        await eventually(
            lambda: "connections: accept failed: Too many open files" in service.output,
            within=5,
            what="it says so",
        )
        assert service.workers == {worker}
        assert sum(client.lasted is not None for client in bodies) > 100


async def test_they_do_not_keep_the_worker_from_stopping(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    async with serving(redis_server, tmp_path) as service:
        for begin in (b"", HEAD, BODY, BODY + b"x", GET + END):
            await stall(service, 100, begin)
        service.signal(signal.SIGTERM)
        assert await service.ended(within=12) == 0
