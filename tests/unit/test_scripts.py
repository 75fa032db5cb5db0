"""How scripts are run, where a real Redis would have to be bent to show it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from service.core.errors import SessionStoreUnavailable
from service.core.outage import Outage
from service.redis.client import RedisClient
from service.redis.node import Node
from service.redis.pipeline import raise_if_error
from service.redis.scripts import Scripts
from tests.support.scripts import script
from tests.support.single_node import SingleNode

CREATE: Final = script("create")


class ScriptedNode(Node):
    """Answers each script with the next of the replies it was given, and then no more."""

    def __init__(self, *replies: Any, ahead: int = 0) -> None:
        """`ahead`: the seconds by which its clock is."""
        super().__init__(Redis(), timeout=0.2)
        self.replies = list(replies)
        self.ahead = ahead
        self.deadlines: list[int] = []

    async def sync_clock(self) -> None:
        now = time.monotonic()
        self.clock.observe(now_ms() + self.ahead * 1000, sent=now, received=now)

    async def execute(self, *command: str | bytes | int, asking: bool = False) -> Any:
        assert not asking
        _evalsha, _sha, _keys, _key, deadline, *_args = command
        self.deadlines.append(int(deadline))
        if not self.replies:
            await asyncio.Event().wait()
        reply = self.replies.pop(0)
        raise_if_error(reply)
        return reply


def scripts(topology: SingleNode) -> Scripts:
    return Scripts(RedisClient(topology, timeout=0.2, outage=Outage("redis")))


def now_ms() -> int:
    return int(time.time()) * 1000


async def test_a_success_that_echoes_something_else_is_none() -> None:
    node = ScriptedNode([b"stored", now_ms(), b"another login"])
    began = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        await scripts(SingleNode(node)).run_fenced(CREATE, "key", expected_echo="mine")
    assert time.monotonic() - began >= 0.19, "answered before the deadline had passed"


async def test_a_success_that_echoes_what_is_expected_is_one() -> None:
    node = ScriptedNode([b"stored", now_ms(), b"mine"])
    reply = await scripts(SingleNode(node)).run_fenced(CREATE, "key", expected_echo="mine")
    assert reply[0] == b"stored"


async def test_a_server_whose_clock_was_set_forward_is_asked_again_by_its_own_time() -> None:
    later = now_ms() + 3_600_000
    node = ScriptedNode([b"late", later], [b"stored", later, b"mine"])
    reply = await scripts(SingleNode(node)).run_fenced(CREATE, "key", expected_echo="mine")
    assert reply[0] == b"stored"
    assert node.deadlines[1] - node.deadlines[0] > 3_500_000


@pytest.mark.parametrize(
    "first", [[b"late", now_ms()], NoScriptError("NOSCRIPT")], ids=["late", "not known"]
)
async def test_a_second_command_of_a_call_has_no_more_time_than_the_call(first: Any) -> None:
    node = ScriptedNode(first)
    await node.sync_clock()
    async with asyncio.timeout(5):
        with pytest.raises(SessionStoreUnavailable):
            await scripts(SingleNode(node)).run_fenced(CREATE, "key", expected_echo="mine")
    assert len(node.deadlines) == 2


async def test_a_script_without_a_fence_is_sent_whole_within_its_time() -> None:
    node = ScriptedNode(NoScriptError("NOSCRIPT"))
    async with asyncio.timeout(5):
        with pytest.raises(SessionStoreUnavailable):
            await scripts(SingleNode(node)).run_idempotent(CREATE, "key", 0)
    assert len(node.deadlines) == 2


class ByFirstLetter(SingleNode):
    """As many nodes as are given, each with the keys that begin with its letter."""

    def __init__(self, **servers: ScriptedNode) -> None:
        self.servers = servers

    def node_of(self, key: str) -> Node:
        return self.servers[key[0]]

    async def find_node(self, key: str) -> Node:
        return self.node_of(key)


async def test_every_server_is_held_to_its_own_clock() -> None:
    hour = 3_600_000
    behind = ScriptedNode([b"stored", now_ms(), b"mine"])
    ahead = ScriptedNode([b"stored", now_ms() + hour, b"mine"], ahead=3600)
    servers = ByFirstLetter(a=ahead, b=behind)
    both = scripts(servers)
    for key in ("a key", "b key"):
        assert (await both.run_fenced(CREATE, key, expected_echo="mine"))[0] == b"stored"
    assert abs(ahead.deadlines[0] - behind.deadlines[0] - hour) < 2000
    assert abs(await both.now_ms("a key") - await both.now_ms("b key") - hour) < 2000
