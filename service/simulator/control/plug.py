"""The plug of the embedded Redis: pulled, Redis hangs as on a network that swallows packets."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

NO_PLUG = (
    "there is no Redis to unplug here: `make run` gives the process id of its embedded Redis as"
    " SIMULATOR_REDIS_PID; with a REDIS_URL of your own, stop that Redis yourself"
)


class Plug:
    """Stops a process and lets it go on. ``pid`` is None where there is none to stop.

    Whoever gives the id has to be the parent of that process and of this one: then the
    id stays that process's own for as long as this one lives.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self.plugged = True

    @property
    def exists(self) -> bool:
        """Whether there is a Redis to unplug."""
        return self._pid is not None

    def set(self, *, plugged: bool) -> bool:
        """Plug it in or pull it; False if there is no such process."""
        if self._pid is None:
            return False
        try:
            os.kill(self._pid, signal.SIGCONT if plugged else signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            return False
        self.plugged = plugged
        return True

    def restore(self) -> None:
        """Leave no process stopped behind."""
        if self._pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGCONT)
