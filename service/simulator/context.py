"""What one simulator holds, and the types of its app and requests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

from sanic import Request, Sanic
from sanic.config import Config
from sanic.response import HTTPResponse

if TYPE_CHECKING:
    from service.simulator.faults.fault import ActiveFaults
    from service.simulator.state.world import World
    from service.simulator.stats import Stats


@dataclass(frozen=True, slots=True)
class SimulatorContext:
    """``app.ctx``."""

    world: World
    faults: ActiveFaults
    stats: Stats


SimulatorApp: TypeAlias = Sanic[Config, SimulatorContext]
SimulatorRequest: TypeAlias = Request[SimulatorApp, SimpleNamespace]
Handler: TypeAlias = Callable[[SimulatorRequest], Coroutine[Any, Any, HTTPResponse | None]]
"""Returns None when it has sent the answer itself."""
