"""A private PostgreSQL for tests, from the package that ships the server."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.children import spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its helper for directories warns outside a desktop session
    from pgserver import utils
    from pgserver._commands import POSTGRES_BIN_PATH

PROGRAMS: Final = Path(POSTGRES_BIN_PATH)
"""Where psql and pg_dump are, which fit the server."""
_FOLDER: Final = "minigate-pg-"
_PORT: Final = "5432"
_HABITS: Final = {
    "listen_addresses": "",
    "port": _PORT,
    # What it has written outlives its process all the same, and no test waits for the disk.
    "fsync": "off",
}
_START_SECONDS: Final = 30


class Postgres:
    """A running server; each `database()` is empty and its own."""

    def __init__(self, folder: str, *, replica_of: Postgres | None = None) -> None:
        self.folder = Path(folder)
        self._user = _unprivileged(self.folder)
        self._count = 0
        # The server ends with the thread that started it, and the caller's may be short-lived.
        self._keeper = ThreadPoolExecutor(1)
        if replica_of is None:
            self._run("initdb", "-D", folder, "--auth=trust", "--encoding=utf8", "-U", "postgres")
        else:
            self.folder.chmod(0o700)
            source = ["-h", str(replica_of.folder), "-p", _PORT, "-U", "postgres"]
            self._run("pg_basebackup", *source, "-D", folder, "-R", "-c", "fast", "--no-sync")
            for left in ("postmaster.pid", "log"):
                (self.folder / left).unlink(missing_ok=True)
        self.start()

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / f".s.PGSQL.{_PORT}"

    def database(self) -> str:
        """The URL of a new database."""
        self._count += 1
        name = f"minigate{self._count}"
        self.psql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres:@/{name}?host={self.folder}"

    def psql(self, statement: str, *, database: str = "postgres") -> str:
        """What it prints, and nothing around it."""
        place = ["-h", str(self.folder), "-p", _PORT, "-d", database, "-U", "postgres"]
        return self._run("psql", *place, "-A", "-t", "-q", "-c", statement).strip()

    def start(self) -> None:
        """Start it, if need be again on the same data."""
        # A killed one's; nobody else has this folder.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        Path(f"{self.socket}.lock").unlink(missing_ok=True)
        self._process = self._keeper.submit(self._spawn).result()
        give_up = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up, (self.folder / "log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, in the midst of whatever it does."""
        self._process.kill()
        self._process.wait()

    def shut_down(self) -> None:
        """End it as an administrator does who wants it to start again."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # without a farewell to clients or the disk
        self._process.wait()
        self._keeper.shutdown()

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = [word for item in _HABITS.items() for word in ("-c", "=".join(item))]
        place = ["-D", str(self.folder), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            return spawn(
                [str(POSTGRES_BIN_PATH / "postgres"), *place, *options],
                last_signal=signal.SIGQUIT,  # its own processes end too, and no shared memory stays
                user=self._user,
                stdout=log,
                stderr=log,
            )

    def _is_ready(self) -> bool:
        with suppress(OSError):
            return "\nready" in (self.folder / "postmaster.pid").read_text()
        return False

    def _run(self, program: str, *arguments: str) -> str:
        user, group = self._user or (None, None)
        ended = subprocess.run(  # noqa: S603 # of the package
            [POSTGRES_BIN_PATH / program, *arguments],
            user=user,
            group=group,
            check=True,
            capture_output=True,
            text=True,
        )
        return ended.stdout


@contextmanager
def running_postgres(*, replica_of: Postgres | None = None) -> Iterator[Postgres]:
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
        server = Postgres(folder, replica_of=replica_of)
        try:
            yield server
        finally:
            server.stop()


def _unprivileged(folder: Path) -> tuple[int, int] | None:
    """The user and group to run as, for PostgreSQL refuses to be root; None: as we are."""
    if os.geteuid() != 0:
        return None
    utils.ensure_prefix_permissions(folder)
    utils.ensure_prefix_permissions(POSTGRES_BIN_PATH)
    for part in ("bin", "lib"):
        utils.ensure_folder_permissions(POSTGRES_BIN_PATH.parent / part, 0o055)
    found = pwd.getpwnam("nobody")
    os.chown(folder, found.pw_uid, found.pw_gid)
    return found.pw_uid, found.pw_gid


def _sweep() -> None:
    """Remove what runs that were killed have left: the kernel has ended their servers."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        pid = left.name.removeprefix(_FOLDER).partition("-")[0]
        if sys.platform == "linux" and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
