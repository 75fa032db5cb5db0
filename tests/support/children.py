"""Processes that end with this one, however that ends: on Linux, by the kernel's own hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Sequence


# In the child, and not by Popen: `user` may have no leave to run this Python, or to import.
# Before the kernel is told whose end to watch for, since this would undo it.
_IMPORTS: Final = "import __future__, ctypes, os, signal, sys"
# Whatever a shell starts in the background ignores Ctrl-C, and its children with it.
_LISTEN: Final = "signal.signal(signal.SIGINT, signal.SIG_DFL)"
_BECOME: Final = "os.setgroups([]); os.setgid({group}); os.setuid({user}); "


def spawn(
    command: Sequence[str],
    *,
    last_signal: signal.Signals = signal.SIGKILL,
    user: tuple[int, int] | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with `options` of Popen.

    It gets `last_signal` when the *thread* that called this ends. `user` is whom
    it runs as, by user and group id; None is whoever runs this.
    """
    become = _BECOME.format(user=user[0], group=user[1]) if user else ""
    wrapper = [sys.executable, "-S", "-c", f"{_IMPORTS}; {_LISTEN}; {become}exec(sys.argv.pop(1))"]
    source = Path(die_with_parent.__file__).read_text()
    return subprocess.Popen(  # noqa: S603 # commands of ours
        [*wrapper, source, str(os.getpid()), str(int(last_signal)), *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )
