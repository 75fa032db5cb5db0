"""The folder in which all processes of the service keep what they count.

Of the standard library alone: the main process has no use for the rest.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus_client; it has to be set before that is imported."""
IDENTITY: Final = "MINIGATE_METRICS_IDENTITY"
_PREFIX: Final = "minigate-metrics-"
_LOCK: Final = "lock"
_MAIN: Final = "main.json"
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 # the folder that is made there is private
_SIZES: Final = {
    "counter": 512 * 1024,
    "histogram": 512 * 1024,
    "gauge_livesum": 64 * 1024,
    "gauge_livemax": 64 * 1024,
    "gauge_max": 64 * 1024,
    "gauge_livemostrecent": 64 * 1024,
}
"""Bytes of each file of a worker, by what prometheus_client calls them."""


@contextmanager
def metrics_folder() -> Iterator[Path | None]:
    """A folder that nobody else may look into, until the main process ends.

    None, with a line in the log, where none can be made: that keeps nobody from
    logging in, but `/metrics` cannot tell of all workers then.
    """
    try:
        folder, lock = _make()
    except OSError as fault:
        log.warning("metrics: no folder for them: %s", fault.strerror)
        yield None
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make() -> tuple[Path, int]:
    """A new folder, and the descriptor of a lock in it that is held."""
    # Not on a disk: a worker that writes to it could have to wait for that.
    in_memory = os.access(_IN_MEMORY, os.W_OK | os.X_OK)
    place = _IN_MEMORY if in_memory else Path(tempfile.gettempdir())
    _remove_what_others_left(place)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=place))
    lock = os.open(unlocked / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return unlocked.rename(unlocked.with_name(unlocked.name[1:])), lock


def _remove_what_others_left(place: Path) -> None:
    """Of main processes that were killed; the kernel has let go of their locks."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def join(folder: Path, identity: str) -> None:
    """Have this worker count in files of `folder` that are called by `identity`.

    No two processes may have it at a time. Before service/metrics/registry.py is imported.
    Raises OSError where there is no room.
    """
    for kind, size in _SIZES.items():
        path = folder / f"{kind}_{identity}.db"
        if not path.exists():
            # Now, and not when something is counted: who then writes to a page that the
            # machine has no room for is killed.
            path.write_bytes(bytes(size))
    os.environ[FOLDER], os.environ[IDENTITY] = str(folder), identity


def forget_gauges(folder: Path, identity: str) -> None:
    """Remove what a worker that has ended said of its present state; its counts stay."""
    for path in folder.glob(f"gauge_live*_{identity}.db"):
        path.unlink(missing_ok=True)


def write_main(folder: Path, facts: dict[str, object]) -> None:
    """Tell what only the main process knows, to whoever is asked for metrics."""
    with suppress(OSError):
        fresh = folder / f"{_MAIN}.new"
        fresh.write_text(json.dumps(facts))
        fresh.replace(folder / _MAIN)


def read_main(folder: Path) -> dict[str, object]:
    """What it told; nothing where it has not."""
    try:
        facts = json.loads((folder / _MAIN).read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
