"""One Redis server that takes writes: how it is asked, and what time it is there."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from service.redis.batching import CommandBatcher, ReadBatcher
from service.redis.clock import ServerClock
from service.redis.errors import NotConfirmed, NotPrimary, driver_calls, is_no_text
from service.redis.held_connection import HeldConnection
from service.redis.pipeline import Pipeline, close, encode_command, exchange, raise_if_error

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from service.redis.wire import Wire

_ASKING: Final = encode_command("ASKING")
_TIME: Final = encode_command("TIME")
_ROLE: Final = encode_command("ROLE")
_INFO: Final = encode_command("INFO", "server")
_SLOTS: Final = 16384
_MARK_MS: Final = 1
"""How long a key lives that is only written to be waited for."""
_MARGIN_SECONDS: Final = 0.02


class ServerInfo(NamedTuple):
    """What a server says of itself."""

    version: str
    mode: str
    """standalone or cluster."""
    run_id: str
    """Of this process of it."""


class Node:
    """A client with a pool of its own, and the server's clock. Every method raises FAULTS."""

    def __init__(
        self, driver: Redis, *, timeout: float, host: str = "", in_cluster: bool = False
    ) -> None:
        """`timeout`: seconds for a batch of reads. `host`: where it is, in a cluster.

        `in_cluster`: one command may there touch keys of one slot only. The
        caller closes the node, and so the driver.
        """
        self.driver = driver
        self.host = host
        self.in_cluster = in_cluster
        self.clock = ServerClock()
        self._timeout = timeout
        self._pipeline = Pipeline(driver)
        self._watched: Wire | None = None
        self._held: list[HeldConnection] = []

    @property
    def address(self) -> str:
        """Where it is: host and port, or the path of a socket; no credentials."""
        place = self.driver.connection_pool.connection_kwargs
        return str(place.get("path") or f"{place.get('host')}:{place.get('port')}")

    @cached_property
    def reads(self) -> ReadBatcher:
        """Reads of values. None also for what is no text, as MGET has it."""
        return ReadBatcher(self._read_connection, in_cluster=self.in_cluster, with_ttl=False)

    @cached_property
    def reads_with_ttl(self) -> ReadBatcher:
        """Reads of values with their time to live."""
        return ReadBatcher(self._read_connection, in_cluster=self.in_cluster, with_ttl=True)

    async def sync_clock(self) -> None:
        """Ask for the time."""
        sent = time.monotonic()
        reply = await self._commands.execute(_TIME)
        self.clock.observe(_milliseconds(reply), sent=sent, received=time.monotonic())

    async def server(self) -> ServerInfo:
        """Ask what it is; a ResponseError where the user may not."""
        reply = await self._commands.execute(_INFO)
        if not isinstance(reply, bytes):
            raise InvalidResponse("the reply to something else")
        lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
        found = {name: value for name, _, value in lines}
        known = (found.get(name, "") for name in ("redis_version", "redis_mode", "run_id"))
        return ServerInfo(*known)

    async def cluster_health(self) -> tuple[bool, bool]:
        """Whether this node of a cluster serves its slots, and whether all slots are served."""
        with driver_calls:
            info = await self.driver.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call] # the driver's
        return info.get("cluster_state") == "ok", info.get("cluster_slots_ok") == str(_SLOTS)

    async def replicas(self) -> int:
        """How many follow it; none where it is a replica itself by now."""
        with driver_calls:
            role = await self.driver.execute_command("ROLE")  # type: ignore[no-untyped-call] # the driver's
        return len(role[2]) if role[0] == b"master" else 0

    @property
    def is_watched(self) -> bool:
        """Whether `check_role` has looked at a connection already."""
        return self._watched is not None

    async def check_role(self) -> None:
        """Look whether it still is a primary; raises NotPrimary.

        Over the connection for reads: another one could be to a server that has
        taken over the address since. Raises another of FAULTS when the one that was
        looked at last is lost, or when there is none to be had.
        """
        watched, self._watched = self._watched, None
        with suppress(ResponseError):  # not for this user, or unknown to a proxy
            check_primary(await self._roles.execute(_ROLE))
        if watched is not None and not watched.is_open:
            raise RedisConnectionError("the connection was lost")
        self._watched = self._read_connection.wire

    def pool_use(self) -> tuple[int, int]:
        """How many connections are in use, those that are kept included, and how many may be."""
        pool = self.driver.connection_pool
        return len(pool._in_use_connections), pool.max_connections  # noqa: SLF001 # it has no other way to ask

    async def close_idle(self) -> None:
        """Close the connections that nothing is under way on; raises nothing."""
        for held in self._held:
            held.close_idle()
        with suppress(Exception):
            await self.driver.connection_pool.disconnect(inuse_connections=False)

    async def execute(self, *command: str | bytes | int, asking: bool = False) -> Any:
        """One command; `asking` for a key that is just moving here from another node."""
        if not asking:
            return await self._commands.execute(encode_command(*command))
        reply = (await self._pipeline.execute([_ASKING, encode_command(*command)]))[1]
        raise_if_error(reply)
        return reply

    async def get(self, key: str, *, asking: bool = False) -> bytes | None:
        """The value; None when there is none, and where it is no text, as MGET has it."""
        try:
            value: bytes | None = await self.execute("GET", key, asking=asking)
        except ResponseError as error:
            if is_no_text(error):
                return None
            raise
        return value

    async def aclose(self) -> None:
        """Let what is under way end, then close every connection."""
        for held in self._held:
            await held.aclose()
        await close(self.driver)

    async def execute_and_wait(
        self, *command: str | bytes | int, key: str, replicas: int, deadline: float, asking: bool
    ) -> Any:
        """One command on `key`; the reply, once so many replicas hold its effect.

        Redis counts, for WAIT, from what the same connection wrote last. So
        nothing here is sent again on another one, and a command that found
        nothing left to do, because an unconfirmed one had done it, is followed
        by a write all the same. Raises NotConfirmed at `deadline` (monotonic).
        """
        with driver_calls:
            async with self._pipeline.connection() as connection:
                prefix = [_ASKING] if asking else []
                reply = (await exchange(connection, [*prefix, encode_command(*command)]))[-1]
                raise_if_error(reply)
                mark = encode_command("SET", f"{{{key}}}:confirm", "", "PX", _MARK_MS)
                raise_if_error((await exchange(connection, [*prefix, mark]))[-1])
                await self._wait(connection, replicas, deadline)
                return reply

    @cached_property
    def _commands(self) -> CommandBatcher:
        # Not by the connection for reads: while a failover pauses writes, reads go on.
        return CommandBatcher(self._hold())

    @cached_property
    def _read_connection(self) -> HeldConnection:
        return self._hold()

    @cached_property
    def _roles(self) -> CommandBatcher:
        return CommandBatcher(self._read_connection)

    def _hold(self) -> HeldConnection:
        held = HeldConnection(self.driver, timeout=self._timeout)
        self._held.append(held)
        return held

    async def _wait(self, connection: AbstractConnection, replicas: int, deadline: float) -> None:
        # No reply may take as long as the connection's time-out, which would end it.
        longest = self._pipeline.socket_timeout * 0.75
        while True:
            timeout = min(deadline - time.monotonic() - _MARGIN_SECONDS, longest)
            if timeout <= 0:  # and 0 would be: for ever
                raise NotConfirmed
            wait = encode_command("WAIT", replicas, math.ceil(timeout * 1000))
            [count] = await exchange(connection, [wait])
            raise_if_error(count)
            if count >= replicas:
                return


def check_primary(role: Any) -> None:
    """Raise NotPrimary unless this, which ROLE has answered, is of a primary."""
    match role:
        case [b"master", *_]:
            return
        case [b"slave" | b"sentinel", *_]:
            raise NotPrimary
    raise InvalidResponse("the reply to something else")


def _milliseconds(reply: Any) -> int:
    """What TIME answered, since the epoch."""
    match reply:
        case [seconds, microseconds]:
            with suppress(TypeError, ValueError):
                return int(seconds) * 1000 + int(microseconds) // 1000
    raise InvalidResponse("the reply to something else")
