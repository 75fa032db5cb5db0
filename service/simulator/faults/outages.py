"""Faults that refuse the connection as soon as a call is made over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from service.simulator.faults import connection
from service.simulator.faults.arrivals import ArrivalFault

if TYPE_CHECKING:
    from service.simulator.context import SimulatorRequest


class Reset(ArrivalFault):
    """Resets the connection before any byte of the answer."""

    kind = "reset"

    async def act(self, request: SimulatorRequest) -> None:
        """Reset."""
        await connection.reset(request)


class ApiDown(ArrivalFault):
    """Resets every call to the named hosts only, so that a fallback host stays up."""

    kind = "api_down"
    hosts: Annotated[list[str], Field(min_length=1, description="Host headers that are down")]

    async def act(self, request: SimulatorRequest) -> None:
        """Reset."""
        await connection.reset(request)
