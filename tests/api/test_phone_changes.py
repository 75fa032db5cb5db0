"""Changing a number takes a fresh login: the second table of ADR 0009, over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
import redis

from tests.support.adr_tables import table_of
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Answer, Api, Simulator

REDEEM: Final = "/wxa/business/getuserphonenumber"
FIRST, OTHER = "13800000001", "13900000002"
ROWS: Final = table_of("0009", "the account has")
EACH: Final = [{**row, "login": login} for row in ROWS for login in row["login"].split(", ")]
WAYS: Final = ("by code", "by encryptedData")


@dataclass
class Caller:
    """Alice, logged in."""

    api: Api
    simulator: Simulator
    redis_url: str
    sessionid: str

    async def bring(self, phone: str, way: str) -> Answer:
        return await self.put(await self.press(phone, way))

    async def press(self, phone: str, way: str) -> dict[str, str]:
        pressed = await self.simulator.phone(phone=phone)
        names = ("code",) if way == "by code" else ("encryptedData", "iv")
        return {name: pressed[name] for name in names}

    async def put(self, body: dict[str, str]) -> Answer:
        headers = {"sessionid": self.sessionid}
        return await self.api.ask("PUT", "/me/phone", json=body, headers=headers)

    async def log_in_again(self) -> Caller:
        answer = await self.api.login(await self.simulator.code())
        return replace(self, sessionid=answer.data["sessionid"])

    def age(self, seconds: int) -> None:
        """Make the login older, as if so much time had passed since."""
        key = f"minigate:session:{self.sessionid.partition('.')[0]}"
        with redis.Redis.from_url(self.redis_url) as client:
            record: dict[str, Any] = orjson.loads(client.get(key))
            record["iat"] -= seconds * 1000
            record["life"] += seconds
            client.set(key, orjson.dumps(record), keepttl=True)


@pytest.fixture
def caller(
    settings: Callable[..., Settings], simulator: Simulator, redis_server: EmbeddedRedis
) -> Callable[..., Any]:
    @asynccontextmanager
    async def log_in(**overrides: object) -> AsyncIterator[Caller]:
        values = {"wechat_api_base": (simulator.url,), "login_coalesce_ms": 0, **overrides}
        async with running_service(settings(**values)) as api:
            answer = await api.login(await simulator.code())
            yield Caller(api, simulator, redis_server.url, answer.data["sessionid"])

    return log_in


def test_the_table_has_every_case_once() -> None:
    told = [(row["the account has"], row["it brings"], row["login"]) for row in EACH]
    brought = [("no number", "a number"), ("a number", "another"), ("a number", "the same")]
    assert sorted(told) == sorted((*pair, age) for pair, age in product(brought, ("fresh", "old")))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", EACH, ids=lambda row: " ".join(row.values()))
async def test_a_row_of_the_table_is_so(
    caller: Callable[..., Any], row: dict[str, str], way: str
) -> None:
    async with caller() as alice:
        if row["the account has"] == "a number":
            assert (await alice.bring(FIRST, "by code")).status == 200
        if row["login"] == "old":
            alice.age(301)
        before = await alice.simulator.calls(REDEEM)
        phone = OTHER if row["it brings"] == "another" else FIRST
        body = await alice.press(phone, way)
        answer = await alice.put(body)
        assert answer.status == int(row[way])
        if answer.status == 200:
            return
        assert (answer.code, answer.body["error"]) == (40105, "login_too_old")
        told = 'Session realm="minigate", error="login_too_old"'
        assert answer.headers["WWW-Authenticate"] == told
        assert await alice.simulator.calls(REDEEM) == before, "the code has been spent"
        assert (await alice.api.session(alice.sessionid)).status == 200
        fresh = await alice.log_in_again()
        # A code is still good. What is encrypted may not be: the login may bring a new key.
        again = body if way == "by code" else await fresh.press(phone, way)
        assert (await fresh.put(again)).status == 200


@pytest.mark.bar("G4")
@pytest.mark.parametrize(("age", "status"), [(0, 200), (295, 200), (301, 401), (-60, 401)])
async def test_five_minutes_are_the_limit_and_a_login_from_the_future_is_none(
    caller: Callable[..., Any], age: int, status: int
) -> None:
    async with caller() as alice:
        await alice.bring(FIRST, "by code")
        alice.age(age)
        assert (await alice.bring(OTHER, "by code")).status == status


async def test_a_session_in_use_does_not_become_a_fresh_login(
    caller: Callable[..., Any],
) -> None:
    async with caller(session_renewal="sliding", session_ttl=600) as alice:
        await alice.bring(FIRST, "by code")
        alice.age(301)
        for _ in range(2):
            assert (await alice.api.session(alice.sessionid)).status == 200
        assert (await alice.bring(OTHER, "by code")).code == 40105


async def test_a_phone_login_is_a_fresh_login_whatever_the_session_before(
    caller: Callable[..., Any],
) -> None:
    async with caller() as alice:
        await alice.bring(FIRST, "by code")
        alice.age(3600)
        body = {**await alice.press(OTHER, "by code"), "loginCode": await alice.simulator.code()}
        answer = await alice.api.ask("POST", "/login/phone", json=body)
        assert (answer.status, answer.data["user"]["phone"]) == (200, "139****0002")


async def test_of_two_first_numbers_at_once_by_an_old_login_one_is_bound(
    caller: Callable[..., Any],
) -> None:
    async with caller() as alice:
        alice.age(301)
        bodies = [await alice.press(phone, "by code") for phone in (FIRST, OTHER)]
        answers = await asyncio.gather(*(alice.put(body) for body in bodies))
        assert sorted(one.code for one in answers) == [0, 40105]
