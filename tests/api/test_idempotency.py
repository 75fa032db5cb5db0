"""What an Idempotency-Key covers: the whole request, and one user's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis.asyncio
from pydantic import SecretStr

from service.config.settings import AppEntry
from service.simulator.settings import AppEntry as SimulatedApp
from tests.support.running import running_service, running_simulator
from tests.support.settings import APP_SECRET, APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Answer, Api, Simulator

OTHER_APPID: Final = "wxfedcba9876543210"
ALIAS: Final = "/loginByPhone"


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    configured = settings(
        wechat_api_base=(simulator.url,), login_coalesce_ms=0, device_classes=("phone", "pc")
    )
    async with running_service(configured) as running:
        yield running


@pytest.fixture
async def store(redis_server: EmbeddedRedis) -> AsyncIterator[redis.asyncio.Redis]:
    """To look behind the service."""
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        yield client


async def post(api: Api, body: dict[str, Any], path: str = "/login", **headers: str) -> Answer:
    """A login under the key "k1"."""
    return await api.ask("POST", path, json=body, headers={**headers, "Idempotency-Key": "k1"})


def is_reused(answer: Answer) -> bool:
    return (answer.status, answer.code, answer.data) == (422, 42200, {"retry": "new_code"})


async def test_a_key_that_comes_with_another_code_is_refused(
    api: Api, simulator: Simulator
) -> None:
    codes = [await simulator.code() for _ in range(2)]
    first = await post(api, {"code": codes[0]})
    for _ in range(2):
        assert is_reused(await post(api, {"code": codes[1]}))
    assert (await api.session(first.data["sessionid"])).status == 200
    assert (await post(api, {"code": codes[0]})).body == first.body
    assert (await api.login(await simulator.code(), key="k2")).status == 200


@pytest.mark.parametrize(
    "other",
    [
        {"device": "pc"},
        {"encryptedData": "AAAA", "iv": "AAAA"},
        {"rawData": "{}", "signature": "0" * 40},
        {"rawData": "{}"},
        {"signature": "x"},
    ],
)
async def test_a_key_that_comes_with_the_same_code_but_another_wish_is_refused(
    api: Api, simulator: Simulator, other: dict[str, str]
) -> None:
    code = await simulator.code()
    first = await post(api, {"code": code})
    assert first.status == 200
    assert is_reused(await post(api, {"code": code, **other}))
    assert (await post(api, {"code": code})).body == first.body
    assert await simulator.exchanges() == 1


async def test_a_phone_login_is_another_request_and_so_is_one_by_another_phone_code(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    phones = [(await simulator.phone(phone="13800138000"))["code"] for _ in range(2)]
    first = await post(api, {"loginCode": code, "code": phones[0]}, "/login/phone")
    assert first.status == 200
    assert is_reused(await post(api, {"loginCode": code, "code": phones[1]}, "/login/phone"))
    assert is_reused(await post(api, {"code": code}))
    assert await simulator.calls("/wxa/business/getuserphonenumber") == 1


async def test_a_repeat_is_the_same_request_whatever_it_comes_by(
    api: Api, simulator: Simulator
) -> None:
    code, phone = await simulator.code(), (await simulator.phone(phone="13800138000"))["code"]
    body = {"loginCode": code, "code": phone}
    first = await post(api, body, "/login/phone")
    referer = {"Referer": f"https://servicewechat.com/{APPID}/7/page-frame.html"}
    for again in (
        await post(api, body, ALIAS),
        await post(api, dict(reversed(body.items())) | {"unknown": "field"}, ALIAS, **referer),
        await post(api, {**body, "appid": APPID, "device": "phone"}, "/login/phone"),
    ):
        assert again.body == first.body
    code = await simulator.code("bob")
    posted = await post(api, {"code": code})
    got = await api.ask(
        "GET", "/wx/onlogin", params={"code": code}, headers={"Idempotency-Key": "k1"}
    )
    assert got.data == posted.data


async def test_of_two_requests_at_once_under_one_key_one_is_served(
    api: Api, simulator: Simulator
) -> None:
    codes = [await simulator.code() for _ in range(2)]
    await simulator.fault("latency", median_ms=200, tail_ms=200)
    answers = await asyncio.gather(*(post(api, {"code": code}) for code in codes))
    assert await simulator.exchanges() == 2, "they were not under way together"
    assert sorted(one.status for one in answers) == [200, 422]
    served = next(one for one in answers if one.status == 200)
    assert (await api.session(served.data["sessionid"])).status == 200


async def test_another_wish_does_not_wait_for_the_exchange_under_way(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    await simulator.fault("latency", median_ms=500, tail_ms=500)
    first = asyncio.create_task(post(api, {"code": code}))
    while await simulator.exchanges() == 0:
        await asyncio.sleep(0.01)
    assert is_reused(await post(api, {"code": code, "device": "pc"}))
    assert not first.done()
    assert (await first).status == 200


async def test_a_refused_login_has_done_nothing_with_its_number(
    api: Api, simulator: Simulator
) -> None:
    """Not even bound the phone number that it brought."""
    first = await post(api, {"code": await simulator.code()})
    phone = (await simulator.phone(phone="13800138000"))["code"]
    body = {"loginCode": await simulator.code(), "code": phone}
    assert is_reused(await post(api, body, "/login/phone"))
    me = await api.ask("GET", "/me", headers={"sessionid": first.data["sessionid"]})
    assert me.data["phone"] is None
    assert await simulator.calls("/wxa/business/getuserphonenumber") == 0


async def test_a_stranger_who_guesses_a_key_learns_nothing_and_disturbs_nobody(
    api: Api, simulator: Simulator
) -> None:
    before = await post(api, {"code": await simulator.code("mallory")})
    code = await simulator.code("alice")
    alice = await post(api, {"code": code})
    after = await post(api, {"code": await simulator.code("eve")})
    assert [one.status for one in (before, alice, after)] == [200, 200, 200]
    assert len({one.data["user"]["id"] for one in (before, alice, after)}) == 3
    assert (await post(api, {"code": "made up"})).code == 40001
    assert (await post(api, {"code": code})).body == alice.body


async def test_a_key_is_kept_as_long_as_its_answer_and_shows_nothing(
    api: Api, simulator: Simulator, store: redis.asyncio.Redis
) -> None:
    await api.login(await simulator.code(), key="the-clients-key")
    await api.login(await simulator.code("bob"))
    [key] = await store.keys("minigate:idempotency:*")
    assert 60_000 < await store.pttl(key) <= 70_000
    dump = str([key, await store.get(key)])
    assert "the-clients-key" not in dump
    assert "alice" not in dump
    await store.delete(key)  # as if that time were over
    assert (await api.login(await simulator.code(), key="the-clients-key")).status == 200


async def test_two_keys_are_none(api: Api, simulator: Simulator) -> None:
    headers = [("Idempotency-Key", "k1"), ("Idempotency-Key", "k2")]
    code = await simulator.code()
    answer = await api.ask("POST", "/login", json={"code": code}, headers=headers)
    assert (answer.status, answer.data["field"]) == (400, "Idempotency-Key")
    assert await simulator.exchanges() == 0


@pytest.mark.parametrize("key", [None, "k1"])
async def test_a_code_that_comes_with_another_apps_id_is_refused_and_stays_good(
    settings: Callable[..., Settings], key: str | None
) -> None:
    """Two mini-programs of one operator; the request names the wrong one, then the right one."""
    apps = {APPID: APP_SECRET, OTHER_APPID: "another-secret-of-another-app"}
    simulated = tuple(SimulatedApp(appid=a, secret=SecretStr(s)) for a, s in apps.items())
    entries = tuple(AppEntry(appid=a, secret=SecretStr(s)) for a, s in apps.items())
    async with running_simulator(apps=simulated) as simulator:
        configured = settings(
            wechat_api_base=(simulator.url,),
            wechat_appid=None,
            wechat_secret=None,
            wechat_apps=entries,
        )
        async with running_service(configured) as api:
            asked = {"user": "alice", "appid": APPID}
            async with simulator.http.post(f"{simulator.url}/sim/login", json=asked) as reply:
                code = (await reply.json())["code"]
            wrong = await api.login(code, key=key, appid=OTHER_APPID)
            assert (wrong.status, wrong.code) == (400, 40001)
            right = await api.login(code, key=key, appid=APPID)
            assert right.status == 200
            session = await api.ask(
                "GET", "/verify", headers={"sessionid": right.data["sessionid"]}
            )
            assert session.headers["X-Auth-Appid"] == APPID
