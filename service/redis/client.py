"""Redis as the stores see it: keys, and not the servers that they are on."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakSet

from redis.exceptions import ResponseError

from service.core.errors import SessionStoreUnavailable
from service.redis.batching import Reading
from service.redis.errors import FAULTS, NoNode, count_failure, describe, reason_of, store_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.core.outage import Outage
    from service.redis.clock import ServerClock
    from service.redis.node import Node, ServerInfo
    from service.redis.topology import Topology

    Told = Callable[["Reading | SessionStoreUnavailable | None", "ServerClock"], None]

T = TypeVar("T")

_REDIRECTIONS: Final = 4
_HEALTH_SECONDS: Final = 0.4
_MARK_MS: Final = 1
"""How long a key lives that is only written to see whether it can be."""
_MOST_MARKS: Final = 1000
_READS_ON: Final = frozenset({"out_of_memory", "disk_error"})
"""Why the right server may refuse changes, while it knows the sessions that there are."""


class Health(NamedTuple):
    """What a look at every node showed."""

    available: bool
    """Some of Redis answers."""
    complete: bool
    """All of it answers, takes changes, and can confirm what has to be confirmed."""
    reason: str = ""
    """Why it is not so, in a word that anybody may see."""


class RedisClient:
    """Brings each command to the node of its key.

    Unless its docstring says otherwise, a method raises SessionStoreUnavailable
    when Redis does not answer in time, or not with an answer; the log has why.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        timeout: float,
        outage: Outage,
        replicas: int = 0,
        prefix: str = "minigate:",
    ) -> None:
        """`timeout`: seconds for a call with all its attempts.

        `replicas`: how many have to hold a change that waits for them. `prefix`:
        what every key begins with; the stores put it there.
        """
        self.prefix = prefix
        self.topology = topology
        self.timeout = timeout
        self.replicas = replicas
        self.outage = outage
        self._silent: WeakSet[Node] = WeakSet()
        """Nodes that may not be asked what they are."""

    async def get(self, key: str) -> bytes | None:
        """The value; None also where the key holds no text but a list, say: see `type_of`."""

        async def get(node: Node, asking: bool) -> bytes | None:  # noqa: FBT001 # as `on_node` calls
            return await node.get(key, asking=asking)

        with store_errors(self.outage, "GET"):
            return await self.on_node(key, get, deadline=time.monotonic() + self.timeout)

    async def type_of(self, key: str) -> str:
        """What the key holds: "string", "list" and so on; "none" when it is not there."""
        name = await self._execute(key, "TYPE", key)
        return name.decode() if isinstance(name, bytes) else "the reply to something else"

    async def set(
        self, key: str, value: str | bytes, *options: str | int, wait_replicas: bool = False
    ) -> Any:
        """`options` as in SET: "PX", 5000, "XX". None when it was not set."""
        return await self._execute(key, "SET", key, value, *options, wait_replicas=wait_replicas)

    async def delete(self, key: str) -> None:
        """Delete the key, if it is there."""
        await self._execute(key, "DEL", key)

    async def entries(self, key: str, *, newest: str, count: int) -> Any:
        """So many entries of a stream, the newest first, from the id `newest` on; "+": all."""
        return await self._execute(key, "XREVRANGE", key, newest, "-", "COUNT", count)

    async def count_distinct(self, *keys: str) -> Any:
        """How many different words were added to some HyperLogLogs, about; of one slot, all."""
        return await self._execute(keys[0], "PFCOUNT", *keys)

    async def read(self, key: str, *, with_ttl: bool = False) -> Reading:
        """The same as `get`, together with all other reads of the moment."""
        node = self.topology.node_of(key)
        try:
            if node is None:
                node = await self.topology.find_node(key)
            reads = node.reads_with_ttl if with_ttl else node.reads
            return await reads.read(key)
        except FAULTS as fault:
            with store_errors(self.outage, "read"):
                if node is None or self.topology.on_fault(node, fault) is None:
                    raise
                # Only this key is elsewhere; the others of its batch do not wait for it.
                deadline = time.monotonic() + self.timeout
                return await self.on_node(key, partial(_read, key, with_ttl), deadline=deadline)

    def look(self, key: str, tell: Told, *, with_ttl: bool = False) -> bool:
        """The same as `read` without a task: `tell` is called with the reading.

        Or with SessionStoreUnavailable, or with None where another read may find more:
        its server may have changed. That is later, unless it cannot be sent. Beside it
        is the clock of the server that was asked.
        Returns False, and tells nothing, while that is not known.
        """
        node = self.topology.node_of(key)
        if node is None:
            return False

        def answer(found: Reading | Exception) -> None:
            tell(self._known_of(node, found) if isinstance(found, Exception) else found, node.clock)

        (node.reads_with_ttl if with_ttl else node.reads).ask(key, answer)
        return True

    async def on_node(
        self,
        key: str,
        action: Callable[[Node, bool], Awaitable[T]],
        *,
        deadline: float,
        in_time: bool = False,
    ) -> T:
        """Have `action` done at the key's node, and where that redirects to, by `deadline`.

        Its second argument is whether the command has to be announced by
        ASKING. It may be done more than once. Raises one of FAULTS.
        `in_time`: done once, it ends by then of itself, as a single command does, which a
        held connection sees to. A time-out of its own would cost 4 microseconds.
        """
        node, asking = self.topology.node_of(key), False
        if node is None:  # to find it takes of the time as well
            node, in_time = await self.topology.find_node(key), False
        for _ in range(_REDIRECTIONS):
            try:
                if in_time:
                    return await action(node, asking)
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await action(node, asking)
            except FAULTS as fault:  # not CancelledError: a caller that hangs up is no fault of it
                redirection = self.topology.on_fault(node, fault)
                if redirection is None:
                    raise
            node, asking = redirection
            in_time = False
        raise NoNode

    async def health(self) -> Health:
        """Look at every node; raises nothing."""
        if not self.topology.nodes():
            try:
                await self.topology.find_node("")
            except NoNode as fault:
                self.outage.failed("health", describe(fault))
                return Health(available=False, complete=False, reason=reason_of(fault))
        found = await asyncio.gather(*(self._health_of(one) for one in self.topology.nodes()))
        health = Health(
            available=any(one.available for one in found),
            complete=all(one.complete for one in found),
            reason=next((one.reason for one in found if one.reason), ""),
        )
        if health.complete:
            self.outage.works()
        return health

    async def servers(self) -> dict[str, ServerInfo]:
        """What each node says that it is, by its address; raises nothing.

        Without those that do not answer, and where the user may not ask.
        """
        found: dict[str, ServerInfo] = {}
        for node in self.topology.nodes():
            if node in self._silent:
                continue
            try:
                async with asyncio.timeout(_HEALTH_SECONDS):
                    found[node.address] = await node.server()
            except ResponseError:  # not again: each refusal is an entry in the ACL LOG
                self._silent.add(node)
            except FAULTS:
                continue  # as `health` tells
        return found

    def pool_use(self) -> tuple[int, int]:
        """How many connections are in use, and how many there may be, of all known servers."""
        uses = [node.pool_use() for node in self.topology.nodes()]
        return sum(used for used, _ in uses), sum(size for _, size in uses)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.topology.aclose()

    async def _execute(
        self, key: str, *command: str | bytes | int, wait_replicas: bool = False
    ) -> Any:
        deadline = time.monotonic() + self.timeout

        async def execute(node: Node, asking: bool) -> Any:  # noqa: FBT001 # as `on_node` calls
            if not (wait_replicas and self.replicas):
                return await node.execute(*command, asking=asking)
            return await node.execute_and_wait(
                *command, key=key, replicas=self.replicas, deadline=deadline, asking=asking
            )

        with store_errors(self.outage, str(command[0])):
            return await self.on_node(key, execute, deadline=deadline)

    def _known_of(self, node: Node, fault: Exception) -> SessionStoreUnavailable | None:
        if not isinstance(fault, FAULTS):
            return None  # a bug of ours; whoever reads again gets to see it
        if self.topology.on_fault(node, fault) is not None:
            return None
        count_failure("read", fault)
        self.outage.failed("read", describe(fault))
        error = SessionStoreUnavailable()
        error.__cause__ = fault
        return error

    async def _health_of(self, node: Node) -> Health:
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                _, (available, complete), refused, enough = await asyncio.gather(
                    node.sync_clock(), _served(node), self._refusal(node), self._confirms(node)
                )
        except FAULTS as fault:
            self.topology.on_fault(node, fault)
            count_failure("health", fault)
            self.outage.failed("health", describe(fault))
            return Health(available=False, complete=False, reason=reason_of(fault))
        if refused:
            return Health(available and refused in _READS_ON, complete=False, reason=refused)
        if complete and enough:
            return Health(available, complete=True)
        reason = "too_few_replicas" if complete else "cluster_down"
        self.outage.failed("health", reason)
        return Health(available, complete=False, reason=reason)

    async def _confirms(self, node: Node) -> bool:
        """Whether there are as many replicas as have to hold a change."""
        return not self.replicas or await node.replicas() >= self.replicas

    async def _refusal(self, node: Node) -> str:
        """Why it takes no changes, or "": nothing but a change shows that. Raises FAULTS."""
        mark = self._mark(node)
        try:
            if mark:
                await node.execute("SET", mark, "", "PX", _MARK_MS)
        except ResponseError as fault:
            self.topology.on_fault(node, fault)
            self.outage.failed("health", describe(fault))
            return reason_of(fault)
        return ""

    def _mark(self, node: Node) -> str | None:
        """A key that is this node's; None where it has next to no slots."""
        names = (f"{self.prefix}health:{number}" for number in range(_MOST_MARKS))
        return next((name for name in names if self.topology.node_of(name) is node), None)


async def _served(node: Node) -> tuple[bool, bool]:
    """Whether it serves its slots, and whether all slots are served."""
    return await node.cluster_health() if node.in_cluster else (True, True)


async def _read(key: str, with_ttl: bool, node: Node, asking: bool) -> Reading:  # noqa: FBT001 # as `on_node` calls
    value = await node.get(key, asking=asking)
    ttl = await node.execute("PTTL", key, asking=asking) if with_ttl else None
    return Reading(value, ttl)
