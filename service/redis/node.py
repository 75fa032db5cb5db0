"""One Redis server that takes writes: how it is asked, and what time it is there."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

from service.redis.clock import ServerClock
from service.redis.command_lane import CommandLane
from service.redis.pipeline import RedisWire, exchange, packed, raise_if_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

_ASKING: Final = packed("ASKING")
_SLOTS: Final = 16384
_MARK_MS: Final = 1
"""How long a key lives that is only written to be waited for."""
_MARGIN_SECONDS: Final = 0.02


class NotConfirmed(Exception):
    """Fewer replicas than wanted have said in time that they hold a change."""


class Primary:
    """A client with a pool of its own, and the server's clock."""

    def __init__(self, redis: Redis, *, in_cluster: bool = False) -> None:
        """`in_cluster`: one command may there touch keys of one slot only. The caller closes."""
        self.redis = redis
        self.in_cluster = in_cluster
        self.clock = ServerClock()
        self._wire = RedisWire(redis)
        self._lane = CommandLane(self._wire)

    async def synchronise(self) -> None:
        """Ask for the time. As all that follows, lets the driver's errors out."""
        sent = time.monotonic()
        seconds, microseconds = await self.redis.time()
        server_ms = int(seconds) * 1000 + int(microseconds) // 1000
        self.clock.observe(server_ms, sent=sent, received=time.monotonic())

    async def in_order(self) -> tuple[bool, bool]:
        """Whether this node of a cluster serves its slots, and whether all slots are served."""
        info = await self.redis.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call] # the driver's
        return info["cluster_state"] == "ok", int(info["cluster_slots_ok"]) == _SLOTS

    async def replicas(self) -> int:
        """How many follow it."""
        return len((await self.redis.execute_command("ROLE"))[2])  # type: ignore[no-untyped-call] # the driver's

    async def execute(self, *command: str | bytes | int, asking: bool = False) -> Any:
        """One command; `asking` for a key that is just moving here from another node."""
        if not asking:
            return await self._lane.execute(packed(*command))
        reply = (await self._wire.ask([_ASKING, packed(*command)]))[1]
        raise_if_error(reply)
        return reply

    async def aclose(self) -> None:
        """Let what is under way end, then close every connection."""
        await self._lane.aclose()
        await self.redis.aclose()

    async def confirmed(
        self, *command: str | bytes | int, key: str, replicas: int, give_up: float, asking: bool
    ) -> Any:
        """One command on `key`, and then the word of so many replicas that they hold its effect.

        Redis counts, for WAIT, from what the same connection wrote last. So
        nothing here is sent again on another one, and a command that found
        nothing left to do, because an unconfirmed one had done it, is followed
        by a write all the same. Raises NotConfirmed at `give_up` (monotonic).
        """
        async with self._wire.connection() as connection:
            prefix = [_ASKING] if asking else []
            reply = (await exchange(connection, [*prefix, packed(*command)]))[-1]
            raise_if_error(reply)
            mark = packed("SET", f"{{{key}}}:confirm", "", "PX", _MARK_MS)
            raise_if_error((await exchange(connection, [*prefix, mark]))[-1])
            await self._wait(connection, replicas, give_up)
            return reply

    async def read(self, keys: Sequence[str], *, with_ttl: bool) -> Any:
        """For each key its value, or the error that Redis has instead; then, if wanted, PTTLs.

        Nobody has looked yet whether the reply is a list of as many. In a cluster no
        two keys are likely to be in one slot, so it is one GET per key there, and
        one MGET elsewhere; always one write. (Per key, 21 at once: 9.6 and 5.3
        microseconds; by the driver's pipeline 13.9, by separate GETs 45.)
        """
        commands = (
            [packed("GET", key) for key in keys] if self.in_cluster else [packed("MGET", *keys)]
        )
        if with_ttl:
            commands += [packed("PTTL", key) for key in keys]
        replies = await self._wire.ask(commands)
        if self.in_cluster:
            return replies
        values, *ttls = replies
        raise_if_error(values)
        return [*values, *ttls] if isinstance(values, list) else values

    async def _wait(self, connection: AbstractConnection, replicas: int, give_up: float) -> None:
        # No reply may take as long as the connection's time-out, which would end it.
        longest = self._wire.patience * 0.75
        while True:
            patience = min(give_up - time.monotonic() - _MARGIN_SECONDS, longest)
            if patience <= 0:  # and 0 would be: for ever
                raise NotConfirmed
            [count] = await exchange(
                connection, [packed("WAIT", replicas, math.ceil(patience * 1000))]
            )
            raise_if_error(count)
            if count >= replicas:
                return
