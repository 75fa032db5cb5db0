"""What fails is logged under its own name, and keeps nothing else that fails out of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import orjson
import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.keys import ACCESS_TOKEN_PREFIX as KEY_PREFIX
from tests.support.process import eventually
from tests.support.running import Api, running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Simulator

INTERNAL_TOKEN = "a token of the operator, long enough"


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    own = settings(wechat_api_base=(simulator.url,), internal_token=INTERNAL_TOKEN)
    async with running_service(own) as running:
        yield running


async def access_token(api: Api) -> int:
    headers = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    return (await api.ask("GET", "/internal/access-token", headers=headers)).status


async def away(*_: object, **__: object) -> NoReturn:
    raise RedisConnectionError("away")


async def test_a_wechat_and_a_redis_that_fail_in_one_moment_are_both_in_the_log(
    api: Api,
    simulator: Simulator,
    redis_server: EmbeddedRedis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await access_token(api) == 200
    async with redis.asyncio.Redis.from_url(redis_server.url) as store:
        record = orjson.loads(await store.get(KEY_PREFIX + APPID) or b"")
        await store.set(KEY_PREFIX + APPID, orjson.dumps({**record, "fresh": 0}))
    await simulator.fault("html_502", endpoint="/cgi-bin/stable_token")
    assert await access_token(api) == 200

    def failures() -> list[str]:
        return [text for text in caplog.messages if " failed: " in text]

    unusable = "wechat: outage begins: /cgi-bin/stable_token failed: unusable answer: HTTP 502"

    renewal = "wechat: renewal of the access_token failed: wechat_unavailable"
    both = [unusable, renewal]
    await eventually(lambda: failures() == both, within=5, what="the renewal has failed")
    monkeypatch.setattr("service.redis.batching.CommandBatcher.execute", away)
    assert await access_token(api) == 503
    assert failures() == [unusable, renewal, "redis: outage begins: GET failed: ConnectionError"]
