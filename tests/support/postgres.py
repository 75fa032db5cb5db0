"""A private PostgreSQL for tests, from the package that ships the server."""

from __future__ import annotations

import atexit
import os
import signal
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its helper for directories warns outside a desktop session
    import pgserver


class Postgres:
    """A running server; each `database()` is empty and its own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._server = pgserver.get_server(folder, cleanup_mode=None)  # type: ignore[attr-defined] # it is its public door
        self._count = 0
        # What it has written outlives its process all the same, and no test waits for the disk.
        self._server.psql("ALTER SYSTEM SET fsync = off")
        self._server.psql("SELECT pg_reload_conf()")

    def database(self) -> str:
        """The URL of a new database."""
        self._count += 1
        name = f"minigate{self._count}"
        self._server.psql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres:@/{name}?host={self._folder}"

    def kill(self) -> None:
        """End it at once, in the midst of whatever it does."""
        pid = int((Path(self._folder) / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        while _alive(pid):
            time.sleep(0.01)

    def start(self) -> None:
        """Start it again on the same data."""
        for left in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (Path(self._folder) / left).unlink(missing_ok=True)
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        atexit.unregister(self._server._cleanup)  # it would log when logging is over
        self._server.cleanup_mode = "stop"
        self._server._cleanup()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="minigate-pg-") as folder:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.stop()


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
