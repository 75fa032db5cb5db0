"""Files and folders that are nobody's but the service's own user's."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_OTHERS: Final = 0o077


def make_new_files_private() -> None:
    """Have this process, and all that it starts, make files 0600 and folders 0700."""
    os.umask(_OTHERS)


def make_private(*paths: Path) -> None:
    """Take files and folders that are there already from group and others, and say so.

    One that is not there, or that somebody else owns, stays as it is; the latter
    is logged as well.
    """
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS)
                log.warning("%s was open to others (%04o); no more", path, mode)
        except FileNotFoundError:
            continue
        except OSError as fault:
            log.warning("%s is open to others: %s", path, fault.strerror)
