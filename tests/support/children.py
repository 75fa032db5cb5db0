"""Processes that end with this one, however that ends: on Linux, by the kernel's own hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRAPPER: Final = """
import ctypes, os, sys
parent, user, group, number, *command = sys.argv[1:]
if int(user):
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(number))  # PR_SET_PDEATHSIG; setuid would undo it
if os.getppid() != int(parent):
    sys.exit(1)  # it ended before that
os.execvp(command[0], command)
"""


def spawn(
    command: Sequence[str],
    *,
    last_signal: signal.Signals = signal.SIGKILL,
    user: tuple[int, int] = (0, 0),
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with `options` of Popen.

    It gets `last_signal` when the *thread* that called this ends. `user` is whom
    it runs as, by user and group id; (0, 0) is whoever runs this.
    """
    numbers = map(str, (os.getpid(), *user, int(last_signal)))
    return subprocess.Popen(  # noqa: S603 # commands of ours
        [sys.executable, "-S", "-c", _WRAPPER, *numbers, *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )
