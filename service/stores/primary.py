"""One Redis server that takes writes: how it is asked, and what time it is there."""

from __future__ import annotations

import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.stores.command_lane import CommandLane
from service.stores.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from service.stores.command_lane import Command

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
        self._lane = CommandLane(redis)

    async def synchronise(self) -> None:
        """Ask for the time. As all that follows, lets the driver's errors out."""
        sent = time.monotonic()
        seconds, microseconds = await self.redis.time()
        server_ms = int(seconds) * 1000 + int(microseconds) // 1000
        self.clock.observe(server_ms, sent=sent, received=time.monotonic())

    async def in_order(self) -> tuple[bool, bool]:
        """Whether this node of a cluster serves its slots, and whether all slots are served."""
        info = await self.execute("CLUSTER INFO")
        return info["cluster_state"] == "ok", int(info["cluster_slots_ok"]) == _SLOTS

    async def replicas(self) -> int:
        """How many follow it."""
        return len((await self.execute("ROLE"))[2])

    async def execute(self, *command: str | bytes | int, asking: bool = False) -> Any:
        """One command; `asking` for a key that is just moving here from another node."""
        if not asking:
            return await self._lane.execute(command)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*command)
        return (await pipeline.execute())[1]

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
        async with self._connection() as connection:
            prefix: list[Command] = [("ASKING",)] if asking else []
            reply = (await _exchange(connection, [*prefix, command]))[-1]
            _raise_if_error(reply)
            mark = ("SET", f"{{{key}}}:confirm", "", "PX", _MARK_MS)
            _raise_if_error((await _exchange(connection, [*prefix, mark]))[-1])
            await self._wait(connection, replicas, give_up)
            return reply

    async def read(self, keys: Sequence[str], *, with_ttl: bool) -> Any:
        """For each key its value, or the error that Redis has instead; then, if wanted, PTTLs.

        Nobody has looked yet whether the reply is a list of as many. In a cluster no
        two keys are likely to be in one slot, so it is one GET per key there, and
        one MGET elsewhere; always one write. (Per key, 21 at once: 9.6 and 5.3
        microseconds; by the driver's pipeline 13.9, by separate GETs 45.)
        """
        names = [key.encode() for key in keys]
        words = [_packed(b"GET", name) for name in names] if self.in_cluster else [_mget(names)]
        if with_ttl:
            words += [_packed(b"PTTL", name) for name in names]
        replies = await self._ask(words)
        if self.in_cluster:
            return replies
        values, *ttls = replies
        _raise_if_error(values)
        return [*values, *ttls] if isinstance(values, list) else values

    async def _ask(self, words: Sequence[bytes]) -> list[Any]:
        """Write commands that may be repeated, and read as many replies."""
        for attempt in (1, 2):
            try:
                async with self._connection() as connection:
                    await connection.send_packed_command([b"".join(words)], check_health=False)
                    return [await _reply(connection) for _ in words]
            except (RedisConnectionError, RedisTimeoutError):
                if attempt == 2:  # noqa: PLR2004 # as many as any other read has
                    raise
        raise AssertionError("not reached")

    async def _wait(self, connection: AbstractConnection, replicas: int, give_up: float) -> None:
        # No reply may take as long as the connection's time-out, which would end it.
        longest = float(self.redis.connection_pool.connection_kwargs["socket_timeout"]) * 0.75
        while True:
            patience = min(give_up - time.monotonic() - _MARGIN_SECONDS, longest)
            if patience <= 0:  # and 0 would be: for ever
                raise NotConfirmed
            wait = ("WAIT", replicas, math.ceil(patience * 1000))
            [count] = await _exchange(connection, [wait])
            _raise_if_error(count)
            if count >= replicas:
                return

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        pool = self.redis.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call] # the driver's
        try:
            yield connection
        except BaseException:
            # Replies may be under way that are nobody's by now.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


def _packed(command: bytes, name: bytes) -> bytes:
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(command), command, len(name), name)


def _mget(names: Sequence[bytes]) -> bytes:
    parts = [b"$%d\r\n%b\r\n" % (len(name), name) for name in names]
    return b"*%d\r\n$4\r\nMGET\r\n%b" % (len(names) + 1, b"".join(parts))


async def _exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    """Send all, then read as many replies."""
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [await _reply(connection) for _ in commands]


async def _reply(connection: AbstractConnection) -> Any:
    """The next reply; an error of Redis is one too, and no reason to leave the rest unread."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _raise_if_error(reply: object) -> None:
    if isinstance(reply, Exception):
        raise reply
