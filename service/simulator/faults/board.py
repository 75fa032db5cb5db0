"""The faults that are switched on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from service.simulator.faults.fault import Fault

    F = TypeVar("F", bound=Fault)


@dataclass(slots=True)
class Switch:
    """One fault that is on, and how often it has struck."""

    number: int
    fault: Fault
    fired: int = 0
    _met: int = field(default=0, init=False)

    @property
    def is_spent(self) -> bool:
        """Whether it has struck as often as it was to."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def applies_to(self, *, endpoint: str, host: str) -> bool:
        """Whether a call of ``endpoint`` sent to ``host`` is concerned; a port may be left out."""
        if self.fault.endpoint not in ("*", endpoint):
            return False
        if self.fault.hosts is None:
            return True
        host = host.lower()
        names = {host, re.sub(r":\d+$", "", host)}
        return any(wanted.lower() in names for wanted in self.fault.hosts)

    def is_due(self) -> bool:
        """Count a call it could strike; whether it is the turn of this one."""
        self._met += 1
        return self._met % self.fault.every == 0

    def view(self) -> dict[str, Any]:
        """Return the switch as it leaves for the client."""
        return {
            "id": self.number,
            "kind": self.fault.kind,
            **self.fault.model_dump(),
            "fired": self.fired,
        }


class FaultBoard:
    """Every switch that is on, oldest first."""

    def __init__(self, *, rng: random.Random) -> None:
        self._rng = rng
        self._switches: list[Switch] = []
        self._added = 0

    @property
    def is_quiet(self) -> bool:
        """Whether no fault is on."""
        return not self._switches

    @property
    def switches(self) -> tuple[Switch, ...]:
        """Return what is on."""
        return tuple(self._switches)

    def add(self, fault: Fault) -> Switch:
        """Switch a fault on."""
        self._added += 1
        switch = Switch(self._added, fault)
        self._switches.append(switch)
        return switch

    def clear(self) -> int:
        """Switch everything off; return how many were on."""
        count = len(self._switches)
        self._switches.clear()
        return count

    def firing(
        self,
        kind: type[F],
        *,
        endpoint: str,
        host: str,
        when: Callable[[F], bool] = lambda _: True,
    ) -> Iterator[F]:
        """Yield the faults of ``kind`` that strike this call.

        Each is drawn and counted only when the iterator gets to it, so one that ends
        the call leaves those after it as they were.
        """
        for switch in self.switches:
            fault = switch.fault
            if (
                isinstance(fault, kind)
                # Others may have used it up, or cleared it, while this call was waiting.
                and switch in self._switches
                and switch.applies_to(endpoint=endpoint, host=host)
                and when(fault)
                and switch.is_due()
                and self._rng.random() < fault.probability
            ):
                switch.fired += 1
                if switch.is_spent:
                    self._switches.remove(switch)
                yield fault
