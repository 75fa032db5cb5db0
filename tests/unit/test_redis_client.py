"""What counts as a fault of a node, and where a command goes after one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

import pytest
from redis.exceptions import AskError, MovedError

from service.config.redis_url import HostPort
from service.core.errors import SessionStoreUnavailable
from service.core.outage import Outage
from service.redis.client import RedisClient
from service.redis.errors import NoNode
from service.redis.node import Node
from service.redis.topology import Redirection
from tests.support.single_node import SingleNode
from tests.unit.test_cluster_topology import NODES, Cluster, FakeNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Noting(SingleNode):
    """Takes down every fault that it is told of."""

    def __init__(self) -> None:
        super().__init__(Node(FakeNode(), timeout=1))  # type: ignore[arg-type] # enough of a driver
        self.faults: list[BaseException] = []

    def on_fault(self, _node: Node, fault: BaseException) -> None:
        self.faults.append(fault)


def client_of(topology: SingleNode) -> RedisClient:
    return RedisClient(topology, timeout=5, outage=Outage("redis"))


async def for_ever(_node: Node, _asking: bool) -> NoReturn:  # noqa: FBT001 # as `on_node` calls
    await asyncio.Event().wait()
    raise AssertionError


def held(*_: object) -> None:
    """Answer nothing."""


CALLS: list[Callable[[RedisClient], Awaitable[object]]] = [
    lambda redis: redis.on_node("key", for_ever, deadline=time.monotonic() + 5),
    lambda redis: redis.get("key"),
    lambda redis: redis.read("key"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_who_hangs_up_is_no_fault_of_the_node(
    call: Callable[[RedisClient], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.redis.held_connection.HeldConnection.send", held)
    topology = Noting()
    asking = asyncio.ensure_future(call(client_of(topology)))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert topology.faults == []


async def test_a_node_that_takes_too_long_is_at_fault() -> None:
    topology = Noting()
    with pytest.raises(TimeoutError):
        await client_of(topology).on_node("key", for_ever, deadline=time.monotonic() + 0.02)
    assert [type(fault) for fault in topology.faults] == [TimeoutError]


async def test_what_ends_in_time_of_itself_does_so_only_where_it_was_asked_first() -> None:
    class There(Noting):
        def on_fault(self, node: Node, fault: BaseException) -> Redirection | None:  # type: ignore[override] # it has somewhere to go
            super().on_fault(node, fault)
            return Redirection(node, asking=True) if isinstance(fault, AskError) else None

    async def elsewhere_and_for_ever(node: Node, asking: bool) -> NoReturn:  # noqa: FBT001 # as above
        if asking:
            await for_ever(node, asking)
        raise AskError("1 127.0.0.1:1")

    topology = There()
    deadline = time.monotonic() + 0.02
    with pytest.raises(TimeoutError):
        await client_of(topology).on_node(
            "key", elsewhere_and_for_ever, deadline=deadline, in_time=True
        )
    assert [type(fault) for fault in topology.faults] == [AskError, TimeoutError]


async def test_what_ends_in_time_of_itself_does_not_where_its_node_had_to_be_found() -> None:
    class Unknown(Noting):
        def node_of(self, _key: str) -> Node:
            return None  # type: ignore[return-value] # as long as it is not known

    topology = Unknown()
    deadline = time.monotonic() + 0.02
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await client_of(topology).on_node("key", for_ever, deadline=deadline, in_time=True)
    assert [type(fault) for fault in topology.faults] == [TimeoutError]


@pytest.mark.parametrize("fault", [TypeError("a bug of ours"), SessionStoreUnavailable()])
async def test_what_redis_did_not_raise_is_no_fault_of_the_node(fault: Exception) -> None:
    async def fail(_node: Node, _asking: bool) -> NoReturn:  # noqa: FBT001 # as above
        raise fault

    topology = Noting()
    with pytest.raises(type(fault)):
        await client_of(topology).on_node("key", fail, deadline=time.monotonic() + 5)
    assert topology.faults == []


async def test_a_hang_up_has_no_cluster_asked_for_its_layout() -> None:
    topology = Cluster().topology()
    await topology.refresh()
    redis = RedisClient(topology, timeout=5, outage=Outage("redis"))
    asking = asyncio.ensure_future(CALLS[0](redis))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert topology._refresher._task is None
    await topology.aclose()


@pytest.mark.parametrize("host", ["", "?"])
@pytest.mark.parametrize("error", [MovedError, AskError])
async def test_a_redirection_without_a_host_means_the_server_that_was_asked(
    host: str, error: type[AskError]
) -> None:
    topology = Cluster().topology()
    await topology.refresh()
    node = await topology.find_node("key")
    found = topology.on_fault(node, error(f"12539 {host}:7009"))
    assert found is not None
    assert found.asking is (error is AskError)
    assert topology.open_nodes[HostPort(NODES[0].host, 7009)] is found.node
    await topology.aclose()


@pytest.mark.parametrize("error", [MovedError, AskError])
async def test_a_node_that_is_known_no_more_may_still_redirect(error: type[AskError]) -> None:
    """A command that was under way when its node left the cluster and was closed."""
    topology = Cluster().topology()
    await topology.refresh()
    former = Node(FakeNode(), timeout=1, host="10.0.0.9")  # type: ignore[arg-type] # as above
    found = topology.on_fault(former, error("12539 :7009"))
    assert found is not None
    assert topology.open_nodes[HostPort("10.0.0.9", 7009)] is found.node
    await topology.aclose()


async def test_redirections_without_an_end_are_followed_four_times() -> None:
    class Roundabout(Noting):
        def on_fault(self, node: Node, fault: BaseException) -> Redirection:  # type: ignore[override] # it has somewhere to go
            super().on_fault(node, fault)
            return Redirection(node, asking=False)

    async def elsewhere(_node: Node, _asking: bool) -> NoReturn:  # noqa: FBT001 # as above
        raise MovedError("1 127.0.0.1:1")

    topology = Roundabout()
    with pytest.raises(NoNode):
        await client_of(topology).on_node("key", elsewhere, deadline=time.monotonic() + 5)
    assert len(topology.faults) == 4
