"""What a session store tells of the sessions that it opens, renews and finds at their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from service.core.errors import SessionExpired, SessionReplaced
from service.core.models import EndedSession, SessionId
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND
from tests.contracts.test_session_store import identity, log_in
from tests.support.keys import SESSION_PREFIX
from tests.support.settings import APPID

if TYPE_CHECKING:
    from service.core.events import Event
    from service.stores.sessions import RedisSessions
    from tests.contracts.conftest import Stores

OTHER_RING: Final = "another-secret-key-canary-0f1e2d3c4b5a6978"


async def expired(stores: Stores, sessions: RedisSessions, session_id: SessionId) -> Event:
    """What is told when a holder, or who calls themselves one, hears that it has expired."""
    stores.events.told.clear()
    with pytest.raises(SessionExpired) as refusal:
        await sessions.validate(session_id)
    assert refusal.value.data is None, "the reason is for the operator alone"
    [told] = stores.events.told
    assert told.event == "expired"
    assert told.handle == session_id.handle
    return told


@ALSO_FAKEREDIS
async def test_a_login_says_whether_a_live_session_gave_way_to_it(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first, second = await log_in(sessions), await log_in(sessions)
    assert (first.replaced, second.replaced, second.key_lost) == (False, True, False)
    assert not (await log_in(sessions, device="pc")).replaced
    await sessions.revoke(second.session_id)
    assert not (await log_in(sessions)).replaced
    shared = await log_in(stores.sessions())
    assert (shared.shared, shared.replaced) == (True, False)


@ALSO_FAKEREDIS
async def test_what_an_operator_had_ended_is_replaced_by_nobody(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    kicked = await log_in(sessions)
    await sessions.terminate(kicked.session_id.handle, "kicked")
    assert not (await log_in(sessions)).replaced
    ending_all = stores.sessions(login_coalesce_ms=0, sessions_since=int(time.time()) - 1)
    key = SESSION_PREFIX + kicked.session_id.handle
    record = orjson.loads(await stores.raw(key))
    record["iat"] -= 3_600_000
    await stores.redis.set(key, orjson.dumps(record), keepttl=True)
    assert not (await log_in(ending_all)).replaced


@ALSO_FAKEREDIS
async def test_a_login_says_that_the_key_of_the_one_before_is_lost(stores: Stores) -> None:
    await log_in(stores.sessions())
    for coalescing in (0, 3000):
        await stores.redis.flushall()
        await log_in(stores.sessions())
        opened = await log_in(stores.sessions(secret_keys=OTHER_RING, login_coalesce_ms=coalescing))
        assert (opened.replaced, opened.key_lost, opened.shared) == (True, True, False)


@ALSO_FAKEREDIS
async def test_a_logout_says_whose_session_it_was(stores: Stores) -> None:
    sessions = stores.sessions()
    for device in ("default", "pc"):
        opened = await log_in(sessions, device=device)
        ended = await sessions.revoke(opened.session_id)
        assert ended == EndedSession("someone", APPID, device)


@ALSO_FAKEREDIS
async def test_a_record_that_names_nobody_ends_as_nobodys(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = SESSION_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key)) | {"uid": 5, "app": None, "dev": ["x"]}
    await stores.redis.set(key, orjson.dumps(record))
    assert await sessions.revoke(opened.session_id) == EndedSession("", "", "default")


@ALSO_FAKEREDIS
async def test_one_that_nobody_knows_has_expired_for_an_unknown_reason(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    opened = [await log_in(sessions) for _ in range(6)]
    gone = await log_in(sessions, identity("oBob"))
    await sessions.revoke(gone.session_id)
    guesses = (SessionId.new("N" * 22), SessionId.new(opened[0].session_id.handle))
    for one in (*guesses, opened[0].session_id, gone.session_id):
        told = await expired(stores, sessions, one)
        assert told[2:] == ("", one.handle, "", "", "", "", "unknown", "", "")


@ALSO_FAKEREDIS
async def test_a_replaced_one_was_told_of_when_it_was_replaced(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first = await log_in(sessions)
    await log_in(sessions)
    with pytest.raises(SessionReplaced):
        await sessions.validate(first.session_id)
    assert stores.events.told == []


@ALSO_FAKEREDIS
async def test_one_that_an_operator_ended_with_all_others_says_so(stores: Stores) -> None:
    opened = await log_in(stores.sessions())
    key = SESSION_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key))
    record["iat"] -= 10_000
    await stores.redis.set(key, orjson.dumps(record), keepttl=True)
    ending_all = stores.sessions(sessions_since=int(time.time()) - 1)
    told = await expired(stores, ending_all, opened.session_id)
    whose = ("someone", opened.session_id.handle, APPID, "default")
    assert (told[2:6], told.reason) == (whose, "ended_by_operator")
    await expired(stores, ending_all, SessionId.new(opened.session_id.handle))
    assert stores.events.told[0].reason == "unknown", "who has no secret of it learns as little"


@ALSO_FAKEREDIS
@pytest.mark.parametrize("field", ["dev", "app"])
async def test_one_of_an_app_or_device_class_that_is_served_no_more(
    stores: Stores, field: str
) -> None:
    opened = await log_in(stores.sessions())
    key = SESSION_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key)) | {field: "none of these"}
    await stores.redis.set(key, orjson.dumps(record), keepttl=True)
    told = await expired(stores, stores.sessions(), opened.session_id)
    assert (told.reason, told.user) == ("not_served", "someone")


@ALSO_FAKEREDIS
async def test_one_that_redis_keeps_for_too_long(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = SESSION_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key))
    record["iat"] -= 7_200_000
    await stores.redis.set(key, orjson.dumps(record))
    told = await expired(stores, sessions, opened.session_id)
    assert (told.reason, told.user) == ("age", "someone")


@ALSO_FAKEREDIS
async def test_one_is_renewed_once(stores: Stores) -> None:
    sessions = stores.sessions(session_renewal="sliding", session_max_age=20_000)
    opened = await log_in(sessions)
    await sessions.validate(opened.session_id)
    assert stores.events.told == []
    await stores.redis.pexpire(SESSION_PREFIX + opened.session_id.handle, 3_000_000)
    for _ in range(3):
        await sessions.validate(opened.session_id)
    [told] = stores.events.told
    whose = ("renewed", "someone", opened.session_id.handle, APPID, "default")
    assert (told[1:6], told.reason) == (whose, "")


@ONE_KIND
async def test_to_tell_costs_no_command_more(stores: Stores) -> None:
    """A login over another session is a look and a script, a logout a script."""
    sessions = stores.sessions(login_coalesce_ms=0)
    for _ in range(2):  # the scripts are known, and the clock
        await sessions.revoke((await log_in(sessions)).session_id)
    await log_in(sessions)
    await stores.redis.config_resetstat()
    opened = await log_in(sessions)
    assert await sessions.revoke(opened.session_id)
    stats = await stores.redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
    outer = {"mget", "evalsha", "echo", "config|resetstat"}
    inner = {"time": 2, "get": 2, "pttl": 1, "set": 1, "del": 1}
    assert calls["evalsha"] == 2
    assert calls["mget"] == 1
    assert {name: calls.get(name) for name in inner} == inner
    assert not set(calls) - outer - set(inner) - {"info", "config"}
