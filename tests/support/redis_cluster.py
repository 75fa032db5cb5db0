"""A Redis Cluster of six processes."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import redis
from redis.crc import key_slot

from tests.support.ports import free_ports
from tests.support.redis_servers import HABITS, RedisProcess, RedisServers, until

SLOTS: Final = 16384


class RedisCluster(RedisServers):
    """Three primaries, three replicas."""

    def __init__(self, *, node_timeout_ms: int = 1000) -> None:
        super().__init__()
        self._node_timeout_ms = node_timeout_ms

    @property
    def url(self) -> str:
        """Two of the six: the rest is to be learnt from them."""
        return f"redis+cluster://{self.nodes[1].address},{self.nodes[4].address}"

    def owner(self, key: str) -> RedisProcess:
        """The primary that says that the key is its own; fails while there is none."""
        slot = key_slot(key.encode())
        for node in self.primaries():
            for first, last, primary, *_ in node.client.execute_command("CLUSTER SLOTS"):
                if first <= slot <= last and primary[1] == node.port:
                    return node
        raise AssertionError(f"nobody serves slot {slot}")

    async def whole(self, *, within: float = 10) -> None:
        """Wait until all six agree that every primary has its replica."""
        await until(self._is_whole, within=within, what="the cluster is whole")

    async def _start(self) -> None:
        for number, port in enumerate(free_ports(6, bus=True)):
            node = RedisProcess(
                self.home / str(number),
                port,
                *("--cluster-enabled", "yes"),
                *("--cluster-node-timeout", str(self._node_timeout_ms)),
                *HABITS,
            )
            self.nodes.append(node)
            node.start()
        await self._all_answer()
        await self._introduce()
        await self.whole()

    async def _all_answer(self) -> None:
        for node in self.nodes:
            try:
                await until(lambda n=node: n.answers, within=5, what="redis-server answers")  # type: ignore[misc] # bound now
            except AssertionError as late:
                late.add_note(node.last_words)
                raise

    async def _introduce(self) -> None:
        primaries, replicas = self.nodes[:3], self.nodes[3:]
        for number, node in enumerate(primaries):
            share = range(SLOTS * number // 3, SLOTS * (number + 1) // 3)
            node.client.execute_command("CLUSTER ADDSLOTS", *share)
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        for node in self.nodes:
            await until(
                lambda n=node: _info(n)["cluster_known_nodes"] == "6",  # type: ignore[misc] # bound now
                within=10,
                what="they have met",
            )
        for primary, replica in zip(primaries, replicas, strict=True):
            name = primary.client.execute_command("CLUSTER MYID")
            replica.client.execute_command("CLUSTER REPLICATE", name)

    def _is_whole(self) -> bool:
        with suppress(redis.RedisError):
            healthy = all(_info(node)["cluster_state"] == "ok" for node in self.nodes)
            primaries = self.primaries()
            linked = [len(self.replicas_of(primary)) for primary in primaries]
            return healthy and linked == [1, 1, 1] and len({_view(n) for n in self.nodes}) == 1
        return False


def _info(node: RedisProcess) -> dict[str, str]:
    return dict(node.client.execute_command("CLUSTER INFO"))


def _view(node: RedisProcess) -> object:
    """Who serves what, as one node sees it."""
    slots = node.client.execute_command("CLUSTER SLOTS")
    return tuple(sorted((first, last, primary[1]) for first, last, primary, *_ in slots))
