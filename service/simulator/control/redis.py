"""The /sim/redis route: unplugging the embedded Redis."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from sanic.response import json

from service.simulator.control.bodies import BadBodyError, json_object

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

_EXAMPLE = '{"plugged": false}'
_NO_REDIS = (
    "there is no Redis to unplug here: `make run` gives the process id of its embedded Redis as"
    " SIMULATOR_REDIS_PID; with a REDIS_URL of your own, stop that Redis yourself"
)


class RedisPlug:
    """Stops the process of a Redis and lets it go on.

    A stopped Redis hangs, as on a network that swallows packets. ``pid`` is None where there
    is none to stop. Whoever gives the id has to be the parent of that process and of this
    one: then the id stays that process's own for as long as this one lives.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self.plugged = True

    async def show(self, _: SimulatorRequest) -> HTTPResponse:
        """Say whether Redis is plugged in."""
        return _no_redis() if self._pid is None else json({"plugged": self.plugged})

    async def plug_or_unplug(self, request: SimulatorRequest) -> HTTPResponse:
        """Unplug Redis or plug it in again; to repeat it changes nothing."""
        plugged = json_object(request, example=_EXAMPLE).get("plugged")
        if not isinstance(plugged, bool):
            raise BadBodyError(
                f"plugged: send true or false, for example {_EXAMPLE}",
                field="plugged",
                allowed=[True, False],
            )
        return json({"plugged": plugged}) if self.set(plugged=plugged) else _no_redis()

    def restore(self) -> None:
        """Leave no process stopped behind."""
        if self._pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGCONT)

    def set(self, *, plugged: bool) -> bool:
        """Let the process run, or stop it; False if there is no such process."""
        if self._pid is None:
            return False
        try:
            os.kill(self._pid, signal.SIGCONT if plugged else signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            return False
        self.plugged = plugged
        return True


def _no_redis() -> HTTPResponse:
    return json({"error": _NO_REDIS}, status=404)
