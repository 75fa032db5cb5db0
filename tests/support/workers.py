"""A service of two workers, and connections of which one knows to which of them they lead."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.process import (
    REPOSITORY,
    Connection,
    ServiceProcess,
    complete_environment,
    eventually,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.process import RedisServer
    from tests.support.running import Simulator


def in_workers(home: Path, code: str) -> str:
    """A PYTHONPATH with which each worker runs `code` before anything else."""
    (home / "sitecustomize.py").write_text(
        f'import sys\nif "service.worker" in sys.orig_argv:\n    exec({code!r})\n'
    )
    return os.pathsep.join((str(home), str(REPOSITORY)))


@asynccontextmanager
async def two_workers(
    redis: RedisServer, simulator: Simulator, home: Path, **more: str
) -> AsyncIterator[ServiceProcess]:
    """`more` goes into its environment."""
    environment = complete_environment(
        redis=redis.url,
        wechat=simulator.url,
        **{
            "WEB_CONCURRENCY": "2",
            "LOGIN_COALESCE_MS": "0",
            "LOG_LEVEL": "WARNING",
            **more,
        },
    )
    async with ServiceProcess(environment, home=home) as service:
        await service.ready()
        await eventually(lambda: len(service.workers) == 2, within=5, what="two workers")
        yield service


@asynccontextmanager
async def clients_of_both_workers(
    service: ServiceProcess, each: int
) -> AsyncIterator[dict[int, list[Connection]]]:
    """So many connections to either worker, by its process id."""
    by_worker: dict[int, list[Connection]] = {pid: [] for pid in service.workers}
    assert len(by_worker) == 2, service.output
    opened: list[Connection] = []
    try:
        while min(map(len, by_worker.values())) < each:
            assert len(opened) < 100 * each, "one worker takes all connections"
            connection = await Connection.open(service.port)
            opened.append(connection)
            await connection.ask("GET", "/livez")
            worker = service.worker_of(connection)
            assert worker is not None
            by_worker[worker].append(connection)
        yield {pid: mine[:each] for pid, mine in by_worker.items()}
    finally:
        for connection in opened:
            connection.abort()
