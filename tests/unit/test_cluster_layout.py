"""Whom a cluster's nodes are believed, when they do not agree or do not answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.config.redis_url import Node
from service.redis.cluster import ClusterPrimaries
from service.redis.topology import NoPrimary
from service.stores.outage import OutageLog

NODES = [Node("10.0.0.1", 7000 + number) for number in range(3)]


@dataclass
class FakeNode:
    """What one node says of the cluster; its replies are those of a pipeline."""

    epoch: int = 1
    primary: Node = NODES[0]
    answers: bool = True
    closed: list[bool] = field(default_factory=list)

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
    views: dict[Node, FakeNode] = field(default_factory=lambda: {n: FakeNode() for n in NODES})

    def primaries(self, *seeds: Node) -> ClusterPrimaries:
        return ClusterPrimaries(
            seeds or NODES[:1],
            lambda _node: FakeNode(),  # type: ignore[arg-type, return-value] # enough of one
            self.views.__getitem__,  # type: ignore[arg-type] # as above
            patience=0.05,
            outage=OutageLog("redis"),
        )


async def primary_of(primaries: ClusterPrimaries) -> Node:
    await primaries._look()
    found = await primaries.find("key")
    return next(node for node, one in primaries._primaries.items() if one is found)


async def test_the_view_with_the_most_elections_counts() -> None:
    cluster = Cluster()
    primaries = cluster.primaries()
    assert await primary_of(primaries) == NODES[0]
    for node in NODES[1:]:
        cluster.views[node] = FakeNode(epoch=2, primary=NODES[1])
    primaries._scouts.clear()
    assert await primary_of(primaries) == NODES[1]
    await primaries.aclose()


async def test_a_former_primary_that_is_cut_off_is_not_believed_again() -> None:
    cluster = Cluster({node: FakeNode(epoch=2, primary=NODES[1]) for node in NODES})
    primaries = cluster.primaries()
    assert await primary_of(primaries) == NODES[1]
    cluster.views[NODES[0]].epoch, cluster.views[NODES[0]].primary = 1, NODES[0]
    for node in NODES[1:]:
        cluster.views[node].answers = False
    assert await primary_of(primaries) == NODES[1]
    await primaries.aclose()


async def test_a_cluster_that_was_made_anew_is_believed_when_most_say_so() -> None:
    cluster = Cluster({node: FakeNode(epoch=9, primary=NODES[1]) for node in NODES})
    primaries = cluster.primaries()
    assert await primary_of(primaries) == NODES[1]
    for view in cluster.views.values():
        view.epoch, view.primary = 1, NODES[2]
    assert await primary_of(primaries) == NODES[2]
    await primaries.aclose()


async def test_when_nobody_answers_the_seeds_are_asked_again_and_those_known() -> None:
    cluster = Cluster()
    primaries = cluster.primaries(NODES[0])
    await primary_of(primaries)
    for view in cluster.views.values():
        view.answers = False
    with pytest.raises(NoPrimary):
        await primaries._look()
    for node in NODES[1:]:  # the seed is gone for good
        cluster.views[node] = FakeNode(epoch=2, primary=NODES[1])
    primaries._scouts.clear()
    assert await primary_of(primaries) == NODES[1]
    await primaries.aclose()


async def test_what_was_opened_is_closed() -> None:
    cluster = Cluster()
    primaries = cluster.primaries(*NODES)
    await primary_of(primaries)
    [primary] = primaries.all()
    await primaries.aclose()
    assert primary.redis.closed  # type: ignore[attr-defined] # it is a fake
    assert all(view.closed for view in cluster.views.values())
