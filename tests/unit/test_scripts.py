"""How scripts are run, where a real Redis would have to be bent to show it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from service.core.errors import SessionStoreUnavailable
from service.redis.client import Keyspace
from service.redis.node import Primary
from service.redis.scripts import Script, Scripts
from service.redis.topology import OnePrimary
from service.stores.outage import OutageLog


class ScriptedPrimary(Primary):
    """Answers each script with the next of the replies it was given."""

    def __init__(self, *replies: list[Any], ahead: int = 0) -> None:
        """`ahead`: the seconds by which its clock is."""
        super().__init__(Redis())
        self.replies = list(replies)
        self.ahead = ahead
        self.deadlines: list[int] = []

    async def synchronise(self) -> None:
        now = time.monotonic()
        self.clock.observe(now_ms() + self.ahead * 1000, sent=now, received=now)

    async def execute(self, *command: str | bytes | int, asking: bool = False) -> Any:
        assert not asking
        _evalsha, _sha, _keys, _key, deadline, *_args = command
        self.deadlines.append(int(deadline))
        return self.replies.pop(0)


def scripts(primary: ScriptedPrimary) -> Scripts:
    return Scripts(Keyspace(OnePrimary(primary), budget=0.2), outage=OutageLog("redis"))


def now_ms() -> int:
    return int(time.time()) * 1000


async def test_a_success_that_confirms_something_else_is_none() -> None:
    primary = ScriptedPrimary([b"stored", now_ms(), b"another login"])
    began = time.monotonic()
    with pytest.raises(SessionStoreUnavailable):
        await scripts(primary).run(Script("login"), "key", confirms="mine")
    assert time.monotonic() - began >= 0.19, "answered before the deadline had passed"


async def test_a_success_that_confirms_is_one() -> None:
    primary = ScriptedPrimary([b"stored", now_ms(), b"mine"])
    reply = await scripts(primary).run(Script("login"), "key", confirms="mine")
    assert reply[0] == b"stored"


async def test_a_server_whose_clock_was_set_forward_is_asked_again_by_its_own_time() -> None:
    later = now_ms() + 3_600_000
    primary = ScriptedPrimary([b"late", later], [b"stored", later, b"mine"])
    reply = await scripts(primary).run(Script("login"), "key", confirms="mine")
    assert reply[0] == b"stored"
    assert primary.deadlines[1] - primary.deadlines[0] > 3_500_000


class ByFirstLetter(OnePrimary):
    """As many primaries as are given, each with the keys that begin with its letter."""

    def __init__(self, **servers: ScriptedPrimary) -> None:
        self.primaries = servers

    def of(self, key: str) -> Primary:
        return self.primaries[key[0]]

    async def find(self, key: str) -> Primary:
        return self.of(key)


async def test_every_server_is_held_to_its_own_clock() -> None:
    hour = 3_600_000
    behind = ScriptedPrimary([b"stored", now_ms(), b"mine"])
    ahead = ScriptedPrimary([b"stored", now_ms() + hour, b"mine"], ahead=3600)
    servers = ByFirstLetter(a=ahead, b=behind)
    both = Scripts(Keyspace(servers, budget=0.2), outage=OutageLog("redis"))
    for key in ("a key", "b key"):
        assert (await both.run(Script("login"), key, confirms="mine"))[0] == b"stored"
    assert abs(ahead.deadlines[0] - behind.deadlines[0] - hour) < 2000
    assert abs(await both.now_ms("a key") - await both.now_ms("b key") - hour) < 2000
