"""What an operator, a rollback or a bug left in Redis costs a login, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
import redis.asyncio

from tests.support.keys import SESSION_PREFIX as KEY_PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Api, Simulator


@pytest.fixture
async def store(redis_server: EmbeddedRedis) -> AsyncIterator[redis.asyncio.Redis]:
    """To look behind the service."""
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        yield client


async def test_a_session_that_this_version_cannot_read_is_logged_in_anew(
    api: Api,
    simulator: Simulator,
    store: redis.asyncio.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = (await api.login(await simulator.code())).data["sessionid"]
    key = KEY_PREFIX + old[:22]
    record = orjson.loads(await store.get(key) or b"")
    await store.set(key, orjson.dumps({**record, "v": 2}), keepttl=True)
    for path in ("/verify", "/session", "/me"):
        refused = await api.ask("GET", path, headers={"sessionid": old})
        assert (refused.status, refused.code) == (401, 40102)

    new = await api.login(await simulator.code())
    assert (await api.session(new.data["sessionid"])).status == 200
    assert (await api.session(old)).status == 401
    lines = [one for one in caplog.messages if one.startswith("sessions: reading a record failed")]
    assert len(lines) == 1


@pytest.mark.parametrize("other", [{"e": 49999, "data": None, "wait": None}, {"session": "?"}])
async def test_an_answer_that_another_version_noted_is_not_repeated(
    api: Api, simulator: Simulator, store: redis.asyncio.Redis, other: dict[str, Any]
) -> None:
    code = await simulator.code()
    await api.login(code, key="k1")
    [key] = await store.keys("minigate:code:*")
    marker = orjson.loads(await store.get(key) or b"")
    kept = {name: marker[name] for name in ("n", "c", "at")}
    await store.set(key, orjson.dumps(kept | other), keepttl=True)
    again = await api.login(code, key="k1")
    assert (again.status, again.code) == (400, 40002)
    assert await simulator.exchanges() == 1
