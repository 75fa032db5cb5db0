"""A primary with a replica behind one address, as a hosted Redis has it."""

from __future__ import annotations

from typing import Self

from tests.support.ports import free_ports
from tests.support.proxy import ChaosProxy
from tests.support.redis_servers import HABITS, RedisProcess, RedisServers, until


class RedisPair(RedisServers):
    """Two servers; the address leads to the first one until `move`."""

    proxy: ChaosProxy

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.proxy = ChaosProxy("127.0.0.1", self.primary.port)
        await self.proxy.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.__aexit__()
        await super().__aexit__()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.proxy.port}"

    @property
    def primary(self) -> RedisProcess:
        """The first of both."""
        return self.nodes[0]

    @property
    def replica(self) -> RedisProcess:
        return self.nodes[1]

    def promote(self) -> None:
        """Swap their parts. The former primary keeps its data, and learns nothing new."""
        # All that was answered until now, the replica has: what is lost else is another matter.
        self.primary.client.set("last", "")
        assert self.primary.client.wait(1, 2000) == 1
        self.replica.client.execute_command("REPLICAOF NO ONE")
        self.primary.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def move(self) -> None:
        """Have the address lead to the other one; connections that are there stay."""
        self.proxy.point_to("127.0.0.1", self.replica.port)

    async def _start(self) -> None:
        first, second = free_ports(2)
        for port in (first, second):
            of = ("--replicaof", "127.0.0.1", str(first)) if port != first else ()
            node = RedisProcess(self.home / str(port), port, *HABITS, *of)
            self.nodes.append(node)
            node.start()
        await until(
            lambda: len(self.replicas_of(self.primary)) == 1, within=10, what="the replica follows"
        )
