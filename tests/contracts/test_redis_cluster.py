"""What is particular to a cluster: reads across slots, and keys that move from node to node."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from service.core.errors import SessionReplaced, SessionStoreUnavailable
from service.core.models import EndedSession, WeChatIdentity
from service.core.outage import Outage
from service.redis.connect import open_client
from service.redis.errors import NotConfirmed
from service.redis.node import Node
from service.redis.scripts import Scripts
from service.stores.sessions import RedisSessions
from tests.support.events import RecordedEvents
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.process import LINUX_ONLY
from tests.support.settings import APPID, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from service.core.models import SessionId
    from tests.support.redis_cluster import RedisCluster
    from tests.support.redis_servers import RedisProcess

pytestmark = LINUX_ONLY


@pytest.fixture(params=["fixed", "sliding"])
async def sessions(
    request: pytest.FixtureRequest, redis_cluster: RedisCluster
) -> AsyncIterator[RedisSessions]:
    settings = make_settings(
        redis_url=redis_cluster.url,
        redis_timeout_ms=1000,
        login_coalesce_ms=0,
        session_confirm_replicas=1,
        session_renewal=request.param,
    )
    redis = open_client(settings, Outage("redis"))
    yield RedisSessions(redis, Scripts(redis), settings, events=RecordedEvents())
    await redis.aclose()


async def log_in(sessions: RedisSessions, openid: str) -> SessionId:
    who = WeChatIdentity(openid, secrets.token_bytes(16))
    opened = await sessions.create(who, appid=APPID, device="default", user_id=openid)
    return opened.session_id


async def log_in_many(sessions: RedisSessions) -> dict[str, SessionId]:
    return {f"o{number}": await log_in(sessions, f"o{number}") for number in range(60)}


async def test_one_turn_reads_from_every_slot(sessions: RedisSessions) -> None:
    known = await log_in_many(sessions)
    found = await asyncio.gather(*(sessions.validate(one) for one in known.values()))
    assert [session.openid for session in found] == list(known)
    assert all(7190 < session.expires_in <= 7200 for session in found)


async def test_it_could_not_by_one_mget(
    sessions: RedisSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await log_in_many(sessions)
    for node in sessions.redis.topology.nodes():
        monkeypatch.setattr(node, "in_cluster", False)
        vars(node).pop("reads", None)  # made anew with that
    reads = (sessions.validate(one) for one in known.values())
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(one) for one in found} == {SessionStoreUnavailable}


async def logouts_unheard(cluster: RedisCluster, sessions: RedisSessions) -> list[object]:
    """How two logouts of one session end while its replica is frozen, though still linked."""
    mine = await log_in(sessions, "o7")
    [replica] = cluster.replicas_of(cluster.owner(KEY_PREFIX + mine.handle))
    replica.freeze()
    try:
        calls = (sessions.revoke(mine) for _ in range(2))
        return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
    finally:
        replica.thaw()
        await cluster.whole()


@pytest.mark.parametrize("sessions", ["fixed"], indirect=True)
async def test_a_logout_is_done_when_a_replica_has_it_and_so_is_its_repeat(
    redis_cluster: RedisCluster, sessions: RedisSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions.redis, "timeout", 0.3)
    unheard = await logouts_unheard(redis_cluster, sessions)
    assert [type(one) for one in unheard] == [SessionStoreUnavailable] * 2

    async def on_another(self: Node, _own: object, replicas: int, _deadline: float) -> None:
        if await self.driver.execute_command("WAIT", replicas, 100) < replicas:
            raise NotConfirmed

    # To see that this shows it: another connection wrote nothing, so it has nothing to wait for.
    monkeypatch.setattr(Node, "_wait", on_another)
    assert isinstance((await logouts_unheard(redis_cluster, sessions))[0], EndedSession)


@contextmanager
def moving(slot: int, source: RedisProcess, target: RedisProcess) -> Iterator[None]:
    """A slot that is being moved, and has been in the end."""
    source_id, target_id = (
        node.client.execute_command("CLUSTER MYID") for node in (source, target)
    )
    target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
    source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
    yield
    for node in (target, source):
        node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)


async def test_a_session_is_followed_while_its_slot_moves(
    redis_cluster: RedisCluster, sessions: RedisSessions
) -> None:
    known = await log_in_many(sessions)
    mine = known["o7"]
    key = KEY_PREFIX + mine.handle
    source = redis_cluster.owner(key)
    target = next(node for node in redis_cluster.primaries() if node is not source)
    slot = key_slot(key.encode())
    with moving(slot, source, target):
        assert (await sessions.validate(mine)).openid == "o7", "not moved yet"
        for one in source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            source.client.migrate("127.0.0.1", target.port, one, 0, 1000)
        found = await asyncio.gather(*(sessions.validate(one) for one in known.values()))
        assert [session.openid for session in found] == list(known), "one of them by ASK"
        newer = await log_in(sessions, "o7")
        with pytest.raises(SessionReplaced):
            await sessions.validate(mine)
    found = await asyncio.gather(*(sessions.validate(one) for one in (newer, known["o8"])))
    assert [session.openid for session in found] == ["o7", "o8"]
    assert await sessions.revoke(newer)
    assert redis_cluster.owner(key) is target


async def test_a_planned_change_of_primaries_is_followed(
    redis_cluster: RedisCluster, sessions: RedisSessions
) -> None:
    known = await log_in_many(sessions)
    primary = redis_cluster.primaries()[0]
    [successor] = redis_cluster.replicas_of(primary)
    asked = float("-inf")
    while not successor.is_primary:
        if time.monotonic() > asked + 6:  # after five seconds, Redis has given it up
            successor.client.execute_command("CLUSTER FAILOVER")
            asked = time.monotonic()
        await asyncio.sleep(0.01)
    # The former one says where to go; nothing is refused.
    found = await asyncio.gather(*(sessions.validate(one) for one in known.values()))
    assert [session.openid for session in found] == list(known)
    await redis_cluster.whole()
