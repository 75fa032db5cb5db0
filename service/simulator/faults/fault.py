"""What every fault has in common: which calls it strikes, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator


class Fault(BaseModel):
    """Base of all kinds. The docstring of a kind is what GET /sim/faults says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: ClassVar[str]

    endpoint: Annotated[str, Field(description="path it applies to, or * for every one")] = "*"
    times: Annotated[
        int | None, Field(ge=1, description="calls it strikes before it ends; null: no end")
    ] = None
    every: Annotated[
        int, Field(ge=1, description="N: it strikes every Nth of the calls it applies to")
    ] = 1
    probability: Annotated[
        float, Field(ge=0, le=1, description="chance that it strikes a call it applies to")
    ] = 1.0
    hosts: Annotated[
        list[str] | None,
        Field(min_length=1, description="Host headers it applies to; null: any"),
    ] = None


F = TypeVar("F", bound=Fault)

COMMON_PARAMS = frozenset(Fault.model_fields)


@dataclass(slots=True, eq=False)
class ActiveFault:
    """A fault that is on, and how often it has struck."""

    number: int
    fault: Fault
    fired: int = 0
    _applicable: int = field(default=0, init=False)

    @property
    def is_spent(self) -> bool:
        """Whether it has struck as often as ``times`` allows."""
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
        """Count a call it applies to; True for every Nth."""
        self._applicable += 1
        return self._applicable % self.fault.every == 0

    def view(self) -> dict[str, Any]:
        """Return it as GET /sim/faults shows it."""
        return {
            "id": self.number,
            "kind": self.fault.kind,
            **self.fault.model_dump(),
            "fired": self.fired,
        }


class ActiveFaults:
    """Every fault that is on, oldest first. Iterating goes over those of this moment."""

    def __init__(self, *, rng: random.Random) -> None:
        self._rng = rng
        self._active: list[ActiveFault] = []
        self._added = 0

    def __iter__(self) -> Iterator[ActiveFault]:
        return iter(tuple(self._active))

    def add(self, fault: Fault) -> ActiveFault:
        """Switch a fault on."""
        self._added += 1
        active = ActiveFault(self._added, fault)
        self._active.append(active)
        return active

    def clear(self) -> int:
        """Switch everything off; return how many were on."""
        count = len(self._active)
        self._active.clear()
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
        for active in self:
            fault = active.fault
            if (
                isinstance(fault, kind)
                # Others may have used it up, or cleared it, while this call was waiting.
                and active in self._active
                and active.applies_to(endpoint=endpoint, host=host)
                and when(fault)
                and active.is_due()
                and self._rng.random() < fault.probability
            ):
                active.fired += 1
                if active.is_spent:
                    self._active.remove(active)
                yield fault
