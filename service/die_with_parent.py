"""Ends a process when its parent does, however that ends. On Linux; elsewhere it does nothing.

Also a command, which becomes a program that ends with its parent:

    python die_with_parent.py PARENT_PID SIGNAL PROGRAM ARGUMENT...
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, *, by: signal.Signals = signal.SIGKILL) -> bool:
    """Have the kernel send this process `by` when `parent` ends; False if it is gone already.

    It holds for what this process becomes by `exec` too, not for its children.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    return os.getppid() == parent  # asked last: it may have ended before the kernel knew


if __name__ == "__main__":
    _parent, _signal, *_command = sys.argv[1:]
    if not die_with_parent(int(_parent), by=signal.Signals(int(_signal))):
        sys.exit(1)
    os.execvp(_command[0], _command)  # noqa: S606 # what the parent asks for
