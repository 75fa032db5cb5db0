"""Redis as the stores see it: keys, and not the servers that they are on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from service.redis.topology import NoPrimary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.redis.node import Primary
    from service.redis.topology import Primaries

T = TypeVar("T")

_REDIRECTIONS: Final = 4
_HEALTH_SECONDS: Final = 0.4


class Health(NamedTuple):
    """What a look at every primary showed."""

    serves: bool
    """Some of it answers."""
    whole: bool
    """All of it answers, and can confirm what has to be confirmed."""


class Keyspace:
    """Brings each command to the primary of its key, and lets the driver's errors out."""

    def __init__(self, primaries: Primaries, *, budget: float, replicas: int = 0) -> None:
        """`budget`: seconds for a call; `replicas`: how many confirm a change that asks for it."""
        self.primaries = primaries
        self.budget = budget
        self.replicas = replicas

    async def get(self, key: str) -> bytes | None:
        """The value."""
        value: bytes | None = await self._bring(key, "GET", key)
        return value

    async def set(
        self, key: str, value: str | bytes, *how: str | int, confirm: bool = False
    ) -> Any:
        """`how` as in SET: "PX", 5000, "NX". None when it was not set."""
        return await self._bring(key, "SET", key, value, *how, confirm=confirm)

    async def delete(self, key: str) -> None:
        """Delete the key, if it is there."""
        await self._bring(key, "DEL", key)

    async def at(self, key: str, act: Callable[[Primary, bool], Awaitable[T]]) -> T:
        """Have `act` done at the key's primary, and where that redirects to.

        Its second argument is whether the command has to be announced by
        ASKING. It may be done more than once. Raises NoPrimary as well.
        """
        primary, asking = await self.primaries.find(key), False
        for _ in range(_REDIRECTIONS):
            try:
                return await act(primary, asking)
            except BaseException as fault:
                elsewhere = self.primaries.failed(primary, fault)
                if elsewhere is None:
                    raise
            primary, asking = elsewhere
        raise NoPrimary

    async def health(self) -> Health:
        """Look at every primary; raises nothing."""
        if not self.primaries.all():
            try:
                await self.primaries.find("")
            except NoPrimary:
                return Health(serves=False, whole=False)
        looks = await asyncio.gather(*(self._look_at(one) for one in self.primaries.all()))
        return Health(
            serves=any(look.serves for look in looks), whole=all(look.whole for look in looks)
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self.primaries.aclose()

    async def _bring(self, key: str, *command: str | bytes | int, confirm: bool = False) -> Any:
        if not (confirm and self.replicas):
            async with asyncio.timeout(self.budget):
                return await self.at(key, lambda one, asking: one.execute(*command, asking=asking))
        how: Any = {
            "key": key,
            "replicas": self.replicas,
            "give_up": time.monotonic() + self.budget,
        }
        return await self.at(key, lambda one, asking: one.confirmed(*command, asking=asking, **how))

    async def _look_at(self, primary: Primary) -> Health:
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                await primary.synchronise()
                serves, whole = await primary.in_order() if primary.in_cluster else (True, True)
                if self.replicas:
                    whole = whole and await primary.replicas() >= self.replicas
        except Exception as fault:
            self.primaries.failed(primary, fault)
            return Health(serves=False, whole=False)
        return Health(serves, whole)
