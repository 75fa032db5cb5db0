"""Commands written to Redis at once, and their replies read one by one.

Redis-py's own pipeline does the same and takes twice as long over each command.
Its connections, pool and parser are used as they are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.redis.errors import driver_calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection


class Pipeline:
    """Commands over one connection of a client's pool. `execute` raises one of FAULTS."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver

    @property
    def socket_timeout(self) -> float:
        """How long a connection waits for a reply before it gives up on itself, seconds."""
        return float(self._driver.connection_pool.connection_kwargs["socket_timeout"])

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        """As many replies, or the errors that Redis has instead. Sent twice if unanswered once."""
        try:
            return await self._execute(commands)
        except (RedisConnectionError, RedisTimeoutError):
            return await self._execute(commands)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """One to hold for a while, closed if anything goes wrong. Lets the driver's errors out."""
        pool = self._driver.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call] # the driver's
        try:
            yield connection
        except BaseException:
            # Replies may still come for which no caller waits any more. What went wrong
            # counts, above all a hang-up, and not what closing may add to it.
            with suppress(Exception):
                await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _execute(self, commands: Sequence[bytes]) -> list[Any]:
        with driver_calls:
            async with self.connection() as connection:
                return await exchange(connection, commands)


async def exchange(connection: AbstractConnection, commands: Sequence[bytes]) -> list[Any]:
    """Send all, then read as many replies; an error that Redis answers is one of them."""
    await connection.send_packed_command([b"".join(commands)], check_health=False)
    return [await _reply(connection) for _ in commands]


def encode_command(*words: str | bytes | int) -> bytes:
    """A command as Redis reads it: an array of strings in RESP."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type] # hinted as a tuple of one
    return packed


async def close(driver: Redis) -> None:
    """Close its connections; raises nothing, for one that cannot be closed is gone as well."""
    with suppress(Exception):
        await driver.aclose()


def raise_if_error(reply: object) -> None:
    """Raise a reply that is an error."""
    if isinstance(reply, Exception):
        raise reply


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
