"""Which server takes writes for a key: one Redis, sentinels and a cluster each answer that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.redis.node import Primary


class NoPrimary(Exception):
    """Nobody is known, at present, to serve the key."""


class Redirection(NamedTuple):
    """Where a server said that a key is."""

    primary: Primary
    asking: bool
    """For this once: the key is ahead of its slot."""


class Primaries(Protocol):
    """Knows the servers that take writes. Reads go to them too, for replicas lag behind."""

    def of(self, key: str) -> Primary | None:
        """The primary of a key; None while it is not known."""
        ...

    async def find(self, key: str) -> Primary:
        """The same, waiting a moment for it to be known; raises NoPrimary."""
        ...

    def failed(self, primary: Primary, fault: BaseException) -> Redirection | None:
        """Hear what an attempt at a primary came to; says where to go instead, if it told."""
        ...

    def all(self) -> Sequence[Primary]:
        """Every primary there is."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class OnePrimary:
    """A single Redis: whatever happens, there is nowhere else to go."""

    def __init__(self, primary: Primary) -> None:
        self._primary = primary

    def of(self, key: str) -> Primary:  # noqa: ARG002 # one serves all
        """The only one."""
        return self._primary

    async def find(self, key: str) -> Primary:  # noqa: ARG002
        """The only one."""
        return self._primary

    def failed(self, primary: Primary, fault: BaseException) -> None:
        """Nothing helps."""

    def all(self) -> Sequence[Primary]:
        """The only one."""
        return (self._primary,)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._primary.aclose()
