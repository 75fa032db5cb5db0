"""Replies that make no sense, and connections that fail at being closed: faults, and no bugs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import redis.asyncio
from redis.exceptions import RedisError

from service.core.errors import SessionStoreUnavailable
from service.core.outage import Outage
from service.redis.client import Health, RedisClient
from service.redis.connect import open_client
from service.redis.node import Node
from service.redis.pipeline import Pipeline
from service.redis.scripts import Scripts
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.scripts import script
from tests.support.settings import make_settings
from tests.support.single_node import SingleNode

if TYPE_CHECKING:
    from collections.abc import Callable


class Connection:
    """Answers everything with one reply, and is closed as the test says."""

    def __init__(self, reply: Any = None, *, closing: Callable[[], object] = lambda: None) -> None:
        self.reply = reply
        self.closing = closing
        self.waits = asyncio.Event()

    async def send_packed_command(self, *_: object, **__: object) -> None:
        pass

    async def read_response(self) -> Any:
        if self.reply is None:
            self.waits.set()
            await asyncio.Event().wait()
        return self.reply

    async def disconnect(self, *, nowait: bool) -> None:
        assert nowait
        self.closing()


class Driver:
    """A pool of that connection; the other commands are answered alike."""

    def __init__(
        self, connection: Connection, *, releasing: Callable[[], object] = lambda: None
    ) -> None:
        self.connection_pool = self
        self._connection = connection
        self._releasing = releasing

    async def get_connection(self) -> Connection:
        return self._connection

    async def release(self, _: Connection) -> None:
        self._releasing()

    async def execute_command(self, *_: str) -> Any:
        return self._connection.reply


def client_of(reply: Any, *, replicas: int = 0, in_cluster: bool = False) -> RedisClient:
    node = Node(Driver(Connection(reply)), timeout=0.05, in_cluster=in_cluster)  # type: ignore[arg-type] # all of it that matters
    topology = SingleNode(node)
    return RedisClient(topology, timeout=0.05, replicas=replicas, outage=Outage("redis"))


NONSENSE: list[Any] = [
    b"OK",
    5,
    [],
    [b"1"],
    [b"x", b"y"],
    [None, None],
    [b"stored", b"{}"],
    [b"stored", 5],
]


@pytest.mark.parametrize("reply", NONSENSE, ids=repr)
async def test_a_time_that_is_none_is_a_fault(reply: Any) -> None:
    client = client_of(reply)
    assert await client.health() == Health(available=False, complete=False, reason="unreachable")
    with pytest.raises(SessionStoreUnavailable):
        await Scripts(client).now_ms("key")


@pytest.mark.parametrize("reply", NONSENSE, ids=repr)
async def test_a_reply_to_something_else_is_no_answer_of_a_script(reply: Any) -> None:
    client = client_of(reply)
    [node] = client.topology.nodes()
    node.clock.observe(1, sent=0, received=0)
    with pytest.raises(SessionStoreUnavailable):
        await Scripts(client).run_fenced(script("revoke"), "key", "d", expected_echo="d")


async def test_a_change_that_waits_for_replicas_ends_in_time() -> None:
    """Its connection is one of the pool, which has no deadline of the whole."""
    client = client_of(None, replicas=1)
    async with asyncio.timeout(5):
        with pytest.raises(SessionStoreUnavailable):
            await client.set("key", "value", wait_replicas=True)


@pytest.mark.parametrize(
    ("reply", "complete"),
    [
        ([b"master", 0, [[b"::1", b"1", b"0"]]], True),
        ([b"master", 0, []], False),
        ([b"slave", b"::1", 6379, b"connected", 0], False),
        ([b"sentinel", [b"name"]], False),
    ],
)
async def test_only_a_primary_has_replicas(
    reply: Any, *, complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(reply, replicas=1)
    monkeypatch.setattr(Node, "sync_clock", no_time)
    monkeypatch.setattr(RedisClient, "_refusal", no_refusal)
    reason = "" if complete else "too_few_replicas"
    assert await client.health() == Health(available=True, complete=complete, reason=reason)


@LINUX_ONLY
async def test_a_server_that_was_demoted_is_not_all_that_is_wanted() -> None:
    async with RedisServer() as server, redis.asyncio.Redis.from_url(server.url) as control:
        settings = make_settings(redis_url=server.url, session_confirm_replicas=1)
        async with aclosing(open_client(settings, Outage("redis"))) as client:
            few = Health(available=True, complete=False, reason="too_few_replicas")
            assert await client.health() == few
            await control.execute_command("REPLICAOF", "127.0.0.1", "1")
            none = Health(available=False, complete=False, reason="read_only")
            assert await client.health() == none


async def no_time(_: Node) -> None:
    """Stands for a time that was told."""


async def no_refusal(_: RedisClient, _node: Node) -> str:
    """Stands for a change that was made."""
    return ""


@pytest.mark.parametrize("info", [{}, {"cluster_state": "fail"}])
async def test_a_node_that_says_nothing_of_its_cluster_does_not_serve(
    info: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(info, in_cluster=True)
    monkeypatch.setattr(Node, "sync_clock", no_time)
    monkeypatch.setattr(RedisClient, "_refusal", no_refusal)
    down = Health(available=False, complete=False, reason="cluster_down")
    assert await client.health() == down


def fail() -> NoReturn:
    raise RuntimeError("closed")


async def test_what_fails_in_closing_a_connection_hides_no_hang_up() -> None:
    faults = [RuntimeError("closed")]

    def fail_once() -> None:
        if faults:
            raise faults.pop()

    connection = Connection(closing=fail_once)
    asking = asyncio.ensure_future(Pipeline(Driver(connection)).execute([b"x"]))  # type: ignore[arg-type] # as above
    await connection.waits.wait()
    asking.cancel()
    await asyncio.wait([asking], timeout=1)  # it might ask again instead
    assert asking.cancelled()


async def test_what_fails_in_giving_a_connection_back_is_a_fault() -> None:
    driver = Driver(Connection(b"OK"), releasing=fail)
    with pytest.raises(RedisError):
        await Pipeline(driver).execute([b"x"])  # type: ignore[arg-type] # as above
