"""The process that decodes one picture, of which it is to be feared that it breaks the decoder.

The upload comes by standard input; by standard output goes the avatar, or what answers.py says.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from service.die_with_parent import die_with_parent
from service.pictures.answers import FAILED, REFUSED, NotAPicture

CPU_SECONDS: Final = 3
"""Ten times what the largest that is let through takes; then the kernel ends the process."""
MEMORY: Final = 72 * 1024**2
"""Bytes that it may write to, beside the upload."""
ADDRESS_SPACE: Final = 512 * 1024**2
"""Bytes, for kernels that do not count the former as they should."""


def main(parent: int) -> None:
    """Read, decode, write, exit; end when the process `parent` does."""
    if not die_with_parent(parent):
        sys.exit(FAILED)
    try:
        code, answer = _answer()
    except Exception as fault:  # noqa: BLE001 # nobody else would hear of it
        code, answer = FAILED, type(fault).__name__.encode()
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    sys.exit(code)


def be_modest() -> None:
    """Take no more of the core than any picture needs, and leave the memory to others."""
    _limit(resource.RLIMIT_CPU, CPU_SECONDS, hard=CPU_SECONDS + 1)  # SIGXCPU first: it says why
    with suppress(OSError):  # Linux only: whom the kernel kills when there is no memory left
        Path("/proc/self/oom_score_adj").write_text("1000")


def confine(upload_size: int) -> None:
    """Take what a picture could do harm with, should it take over its decoder."""
    _limit(resource.RLIMIT_DATA, MEMORY + 2 * upload_size)
    _limit(resource.RLIMIT_AS, ADDRESS_SPACE + 2 * upload_size)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 0)  # no file and no socket beside those that are open
    _limit(resource.RLIMIT_NPROC, 0)


def _answer() -> tuple[int, bytes]:
    be_modest()
    upload = sys.stdin.buffer.read()
    # While files can be opened, and where it is told if that fails.
    from service.pictures.avatar import normalize_avatar  # noqa: PLC0415

    confine(len(upload))
    try:
        return 0, normalize_avatar(upload)
    except NotAPicture as fault:
        return REFUSED, str(fault).encode()


def _limit(what: int, most: int, *, hard: int | None = None) -> None:
    with suppress(ValueError, OSError):  # not every system has all of them
        resource.setrlimit(what, (most, most if hard is None else hard))
