"""Whom a cluster's nodes are believed, when they do not agree or do not answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.config.redis_url import HostPort
from service.core.outage import Outage
from service.redis.cluster import ClusterTopology
from service.redis.errors import NoNode
from service.redis.node import Node

NODES = [HostPort("10.0.0.1", 7000 + number) for number in range(3)]


@dataclass
class FakeNode:
    """What one node says of the cluster; its replies are those of a pipeline."""

    epoch: int = 1
    primary: HostPort = NODES[0]
    answers: bool = True
    closed: list[bool] = field(default_factory=list)
    connection_pool: Any = None

    def pipeline(self, *, transaction: bool) -> FakeNode:
        assert not transaction
        return self

    def execute_command(self, *_: str) -> None:
        pass

    async def execute(self) -> list[Any]:
        if not self.answers:
            await asyncio.sleep(10)
        holders = [self.primary, *(node for node in NODES if node != self.primary)]
        slots = [[0, 16383, *([node.host.encode(), node.port, b"id"] for node in holders)]]
        return [slots, {"cluster_current_epoch": str(self.epoch), "cluster_state": "ok"}]

    async def aclose(self) -> None:
        self.closed.append(True)


@dataclass
class Cluster:
    views: dict[HostPort, FakeNode] = field(default_factory=lambda: {n: FakeNode() for n in NODES})

    def topology(self, *seeds: HostPort) -> ClusterTopology:
        return ClusterTopology(
            seeds or NODES[:1],
            lambda where: Node(FakeNode(), timeout=1, host=where.host),  # type: ignore[arg-type] # enough of a driver
            self.views.__getitem__,  # type: ignore[arg-type] # as above
            timeout=0.05,
            outage=Outage("redis"),
        )


async def primary_of(topology: ClusterTopology) -> HostPort:
    await topology.refresh()
    found = await topology.find_node("key")
    return next(address for address, one in topology.open_nodes.items() if one is found)


async def test_the_view_with_the_most_elections_counts() -> None:
    cluster = Cluster()
    topology = cluster.topology()
    assert await primary_of(topology) == NODES[0]
    for node in NODES[1:]:
        cluster.views[node] = FakeNode(epoch=2, primary=NODES[1])
    topology._probes.clear()
    assert await primary_of(topology) == NODES[1]
    await topology.aclose()


async def test_a_former_primary_that_is_cut_off_is_not_believed_again() -> None:
    cluster = Cluster({node: FakeNode(epoch=2, primary=NODES[1]) for node in NODES})
    topology = cluster.topology()
    assert await primary_of(topology) == NODES[1]
    cluster.views[NODES[0]].epoch, cluster.views[NODES[0]].primary = 1, NODES[0]
    for node in NODES[1:]:
        cluster.views[node].answers = False
    assert await primary_of(topology) == NODES[1]
    await topology.aclose()


async def test_a_cluster_that_was_made_anew_is_believed_when_most_say_so() -> None:
    cluster = Cluster({node: FakeNode(epoch=9, primary=NODES[1]) for node in NODES})
    topology = cluster.topology()
    assert await primary_of(topology) == NODES[1]
    for view in cluster.views.values():
        view.epoch, view.primary = 1, NODES[2]
    assert await primary_of(topology) == NODES[2]
    await topology.aclose()


async def test_when_nobody_answers_the_seeds_are_asked_again_and_those_known() -> None:
    cluster = Cluster()
    topology = cluster.topology(NODES[0])
    await primary_of(topology)
    for view in cluster.views.values():
        view.answers = False
    with pytest.raises(NoNode):
        await topology.refresh()
    for node in NODES[1:]:  # the seed is gone for good
        cluster.views[node] = FakeNode(epoch=2, primary=NODES[1])
    topology._probes.clear()
    assert await primary_of(topology) == NODES[1]
    await topology.aclose()


async def test_what_was_opened_is_closed() -> None:
    cluster = Cluster()
    topology = cluster.topology(*NODES)
    await primary_of(topology)
    [node] = topology.nodes()
    await topology.aclose()
    assert node.driver.closed  # type: ignore[attr-defined] # it is a fake
    assert all(view.closed for view in cluster.views.values())


async def test_what_cannot_be_closed_keeps_nothing_else_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(self: FakeNode) -> None:
        self.closed.append(True)
        raise RedisTimeoutError("Timed out closing connection")

    monkeypatch.setattr(FakeNode, "aclose", fail)
    cluster = Cluster()
    topology = cluster.topology(*NODES)
    await primary_of(topology)
    [former] = topology.nodes()
    for view in cluster.views.values():
        view.epoch, view.primary = 2, NODES[1]
    monkeypatch.setattr("service.redis.topology._DRAIN_SECONDS", -1.0)
    assert await primary_of(topology) == NODES[1]
    assert former not in topology.open_nodes.values()
    [node] = topology.nodes()
    await topology.aclose()
    assert [one.driver.closed for one in (former, node)] == [[True]] * 2  # type: ignore[attr-defined] # fakes
    assert all(view.closed for view in cluster.views.values())
