"""Which signals are heeded before there is anybody to heed them.

Imported before everything else: what is imported after it takes long.
"""

from __future__ import annotations

import os
import signal

_interruptible = False
"""Whether Ctrl-C is ours to heed: not for whoever was started to ignore it."""


def begin(*, as_program: bool) -> None:
    """Have SIGTERM and Ctrl-C end the process at once, as long as there is nothing to clean up."""
    global _interruptible  # noqa: PLW0603 # of the process, as signals are
    _interruptible = as_program and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if os.getpid() == 1:
        # For the first process of a container the kernel drops a signal that it has no handler for.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os._exit(128 + number))
    elif _interruptible:
        # A KeyboardInterrupt in the midst of C code that an import runs would be printed and lost.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def pass_over() -> None:
    """Until the supervisor heeds them; not by SIG_IGN, which other programs would inherit."""
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT]
    if not os.isatty(0):  # else it is the end of the terminal
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda *_: None)


def clean_up_when_interrupted() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt."""
    if _interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
