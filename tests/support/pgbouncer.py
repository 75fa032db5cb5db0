"""PgBouncer in transaction mode, if the machine has it."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.children import spawn
from tests.support.ports import free_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.postgres import Postgres

_PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_START_SECONDS: Final = 10

NEEDS_PGBOUNCER: Final = pytest.mark.skipif(
    _PROGRAM is None, reason="pgbouncer is not installed: see tests/servers.sh"
)


@contextmanager
def running_pgbouncer(database: Postgres, *, size: int) -> Iterator[int]:
    """Yields its port; all clients of a database share `size` connections."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="minigate-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={database.folder}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
            f"default_pool_size = {size}\nserver_round_robin = 1\n"
        )
        nobody = pwd.getpwnam("nobody")  # it refuses to be root
        user = (nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else None
        with (folder / "log").open("wb") as log:
            process = spawn(
                [str(_PROGRAM), str(folder / "pgbouncer.ini")], user=user, stdout=log, stderr=log
            )
        try:
            _wait_for(process, port, folder / "log")
            yield port
        finally:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    wanted = f"listening on 127.0.0.1:{port}"
    while wanted not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.01)
