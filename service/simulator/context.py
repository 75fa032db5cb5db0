"""What one simulator holds, and the types of its app and requests."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeAlias

from sanic import Request, Sanic
from sanic.config import Config

if TYPE_CHECKING:
    from service.simulator.control.plug import Plug
    from service.simulator.faults.fault import ActiveFaults
    from service.simulator.state.world import World
    from service.simulator.stats import Stats


@dataclass(frozen=True, slots=True)
class SimulatorContext:
    """``app.ctx``."""

    world: World
    faults: ActiveFaults
    stats: Stats
    plug: Plug


SimulatorApp: TypeAlias = Sanic[Config, SimulatorContext]
SimulatorRequest: TypeAlias = Request[SimulatorApp, SimpleNamespace]
