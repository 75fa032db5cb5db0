"""Whatever the driver comes up with, the stores call it an outage."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

import pytest
from redis import exceptions

from service.core.errors import SessionStoreUnavailable
from service.core.models import SessionId, WeChatIdentity
from service.core.outage import Outage
from service.redis.client import RedisClient
from service.redis.errors import NoNode, NotConfirmed
from service.redis.node import Node
from service.redis.scripts import Scripts
from service.redis.topology import Redirection
from service.stores.code_markers import CodeMarkers
from service.stores.login_codes import RedisLoginCodes
from service.stores.sessions import RedisSessions
from tests.support.events import RecordedEvents
from tests.support.settings import make_settings
from tests.support.single_node import SingleNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FAULTS: Final = [
    exceptions.ConnectionError("away"),
    exceptions.TimeoutError("slow"),
    exceptions.MaxConnectionsError("no connection"),
    exceptions.BusyLoadingError("LOADING Redis is loading the dataset in memory"),
    exceptions.ReadOnlyError("READONLY You can't write against a read only replica."),
    exceptions.MasterDownError("MASTERDOWN Link with MASTER is down"),
    exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"),
    exceptions.TryAgainError("TRYAGAIN Multiple keys request during rehashing of slot"),
    exceptions.ClusterCrossSlotError("CROSSSLOT Keys in request don't hash to the same slot"),
    exceptions.MovedError("1 127.0.0.1:1"),
    exceptions.AskError("1 127.0.0.1:1"),
    exceptions.OutOfMemoryError("OOM command not allowed"),
    exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
    exceptions.ResponseError("UNBLOCKED force unblock from blocking operation"),
    exceptions.NoPermissionError("NOPERM this user has no permissions"),
    exceptions.AuthenticationError("WRONGPASS"),
    exceptions.InvalidResponse("Protocol Error"),
    AttributeError("'NoneType' object has no attribute 'writelines'"),
    RuntimeError("unable to perform operation on <TCPTransport closed=True>; it is closed"),
    TypeError("'NoneType' object is not subscriptable"),
    OSError("broken"),
    NotConfirmed(),
    NoNode(),
]
SOMEBODY: Final = SessionId.new("A" * 22)


class FaultyPipeline:
    """Takes any command, and fails when they are to be sent."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def execute_command(self, *_: object) -> None:
        pass

    async def execute(self, **_: object) -> None:
        raise self._fault


class Faulty:
    """A client of Redis, and its connections, that fail at everything."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault
        self.connection_pool = self

    def pipeline(self, **_: object) -> FaultyPipeline:
        return FaultyPipeline(self._fault)

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        async def fail(*_: object, **__: object) -> None:
            raise self._fault

        return fail


class Roundabout(SingleNode):
    """Always says to go to where one comes from."""

    def on_fault(self, node: Node, fault: BaseException) -> Redirection | None:
        return Redirection(node, asking=False) if isinstance(fault, Exception) else None


def stores(topology: SingleNode, replicas: int) -> tuple[RedisSessions, RedisLoginCodes]:
    settings = make_settings()
    log = Outage("redis")
    redis = RedisClient(topology, timeout=0.05, replicas=replicas, outage=log)
    scripts = Scripts(redis)
    markers = CodeMarkers(redis, scripts, settings)
    sessions = RedisSessions(redis, scripts, settings, events=RecordedEvents())
    return sessions, RedisLoginCodes(markers)


@pytest.mark.parametrize(
    ("around", "replicas"), [(SingleNode, 0), (Roundabout, 0), (SingleNode, 1)]
)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{type(fault).__name__}-{fault}"[:40])
async def test_everything_that_goes_wrong_is_an_outage(
    fault: Exception, around: type[SingleNode], replicas: int
) -> None:
    node = Node(Faulty(fault), timeout=0.05)  # type: ignore[arg-type] # all of it that matters
    sessions, codes = stores(around(node), replicas)
    who = WeChatIdentity("oAlice", secrets.token_bytes(16))
    calls: list[Awaitable[object]] = [
        sessions.create(who, appid="wx", device="default", user_id="alice"),
        sessions.validate(SOMEBODY),
        sessions.revoke(SOMEBODY),
        sessions.terminate(SOMEBODY.handle, "kicked"),
        sessions.delete(SOMEBODY.handle),
        sessions.mark_user("alice", "deleted"),
        sessions.user_mark("alice"),
        sessions.view([SOMEBODY.handle]),
        sessions.lift_ban(SOMEBODY.handle),
        sessions.restore_id(SOMEBODY.handle, "digest"),
        sessions.ping(),
        codes.claim("wx", "code", idempotency_key=None),
    ]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in found] == [SessionStoreUnavailable] * len(calls), found
