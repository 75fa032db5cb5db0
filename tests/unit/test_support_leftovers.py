"""A run that is killed leaves no server behind, and the next one removes what is left on disk."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import postgres
from tests.support.process import LINUX_ONLY, REPOSITORY, _family, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = LINUX_ONLY

RUN = """
import asyncio, time
from service.dev.embedded_redis import embedded_redis
from tests.support.postgres import running_postgres
from tests.support.process import RedisServer

async def serve():
    async with RedisServer():
        with running_postgres(), embedded_redis():
            print("up", flush=True)
            time.sleep(60)

asyncio.run(serve())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files which, unlike pytest's, a server that is not root may enter."""
    with tempfile.TemporaryDirectory(prefix="minigate-") as folder:
        yield Path(folder)


async def test_servers_end_with_the_run_that_started_them_however_that_ends(
    request: pytest.FixtureRequest, place: Path
) -> None:
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN),
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(place)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert run.stdout
    assert await run.stdout.readline() == b"up\n"
    family = _family(run.pid)
    for one in family:
        request.addfinalizer(one.kill)  # should the test fail
    commands = [one.command for one in family]
    assert sum("redis-server" in one for one in commands) == 2
    assert sum("bin/postgres" in one for one in commands) == 1
    run.send_signal(signal.SIGKILL)
    await run.wait()
    await eventually(
        lambda: not any(one.is_alive for one in family), within=5, what="all of them have ended"
    )


def test_folders_of_runs_that_are_gone_are_removed_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for pid in (gone.pid, os.getpid()):
        (tmp_path / f"minigate-pg-{pid}-x").mkdir()
    postgres._sweep()
    assert [one.name for one in tmp_path.iterdir()] == [f"minigate-pg-{os.getpid()}-x"]
