"""A primary with two replicas, and three sentinels that watch over them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import redis

from tests.support.ports import free_ports
from tests.support.redis_servers import HABITS, RedisProcess, RedisServers, until

if TYPE_CHECKING:
    from collections.abc import Iterable

MASTER_NAME: Final = "minigate"


class SentinelGroup(RedisServers):
    """One primary, two replicas and three sentinels that watch over them."""

    def __init__(self, *, down_after_ms: int = 1000, password: str = "") -> None:
        """`password`: of the sentinels; the servers have none."""
        super().__init__()
        self._password = password
        self._down_after_ms = down_after_ms
        self.sentinels: list[RedisProcess] = []

    @property
    def url(self) -> str:
        watchers = ",".join(sentinel.address for sentinel in self.sentinels)
        return f"redis+sentinel://{watchers}/{MASTER_NAME}"

    @property
    def primary(self) -> RedisProcess:
        """The one that a majority of the sentinels names, if it agrees."""
        [node] = [node for node in self.primaries() if self._named() == {node.port}]
        return node

    async def whole(self, *, within: float = 20) -> None:
        """Wait until there is one primary with two replicas, and every sentinel knows."""
        await until(self._is_whole, within=within, what="the group is whole")

    def _all(self) -> Iterable[RedisProcess]:
        return [*self.nodes, *self.sentinels]

    async def _start(self) -> None:
        *ports, first, second, third = free_ports(6)
        for port in ports:
            of = ("--replicaof", "127.0.0.1", str(ports[0])) if port != ports[0] else ()
            self.nodes.append(RedisProcess(self.home / str(port), port, *HABITS, *of))
        for port in (first, second, third):
            self.sentinels.append(self._sentinel(port, watching=ports[0]))
        for node in self.nodes:
            node.start()
        # A sentinel looks for replicas at once and then after ten seconds only.
        await until(lambda: len(self.replicas_of(self.nodes[0])) == 2, within=5, what="replicas")
        for sentinel in self.sentinels:
            sentinel.start()
        await self.whole()

    def _sentinel(self, port: int, *, watching: int) -> RedisProcess:
        home = self.home / str(port)
        home.mkdir()
        file = home / "sentinel.conf"  # sentinels write what they learn back to it
        file.write_text(
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {watching} 2\n"
            f"sentinel down-after-milliseconds {MASTER_NAME} {self._down_after_ms}\n"
            f"sentinel failover-timeout {MASTER_NAME} 4000\n"
            + (
                f"requirepass {self._password}\nsentinel sentinel-pass {self._password}\n"
                if self._password
                else ""
            )
        )
        return RedisProcess(
            home, port, "--sentinel", config=str(file), password=self._password or None
        )

    def _named(self) -> set[int]:
        return {int(self._ask(sentinel, "get-master-addr-by-name")[1]) for sentinel in self._up()}

    def _up(self) -> list[RedisProcess]:
        return [sentinel for sentinel in self.sentinels if sentinel.answers]

    @staticmethod
    def _ask(sentinel: RedisProcess, what: str) -> Any:
        return sentinel.client.execute_command(f"SENTINEL {what}", MASTER_NAME)

    def _is_whole(self) -> bool:
        with suppress(redis.RedisError, ValueError):
            states = [self._ask(sentinel, "master") for sentinel in self.sentinels]
            agreed = all(
                (state["num-slaves"], state["num-other-sentinels"]) == (2, 2)
                and not state["is_sdown"]
                for state in states
            )
            return agreed and len(self.replicas_of(self.primary)) == 2
        return False
