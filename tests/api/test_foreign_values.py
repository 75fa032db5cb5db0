"""Every kind of thing that is none of ours, under every kind of key that is.

A restore from elsewhere, another program in the same database, a later version
that was rolled back: none of it may be a 500, somebody else's session, or the
end of somebody's logins.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import redis.asyncio

from service.core.ids import digest
from service.core.models import handle_of
from tests.support.keys import ACCESS_TOKEN_LOCK_PREFIX as LOCK_PREFIX
from tests.support.keys import ACCESS_TOKEN_PREFIX as TOKEN_PREFIX
from tests.support.keys import NUMBER_PREFIX, code_key, deleted_user_key
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service.config.settings import Settings
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.running import Answer, Api, Simulator

    Redis = redis.asyncio.Redis
    Put = Callable[[Redis, str], Awaitable[Any]]

FOREIGN: Final = "somebody-elses-canary"
NUMBER: Final = "13800000001"
UNAVAILABLE: Final = (503, 50300)
EXPIRED: Final = (401, 40102)


async def text(value: str | bytes, store: Redis, key: str) -> None:
    await store.set(key, value)


async def with_field(field: str, value: Any, store: Redis, key: str) -> None:
    """What is there, with another value in one field; where nothing is, that field alone."""
    kept = await store.get(key)
    try:
        fields = json.loads(kept or b"{}")
    except ValueError:  # a lock, a number
        fields = {}
    await store.set(key, json.dumps({**fields, field: value}))


async def shortened(store: Redis, key: str) -> None:
    await store.set(key, (await store.get(key) or b'{"n":"abc","h":"')[:-9])


async def in_time(store: Redis, key: str) -> None:
    """Text that ends as soon as ours would."""
    await store.set(key, FOREIGN, px=4000)


_TEXTS: Final[dict[str, str | bytes]] = {
    "nothing": b"",
    "spaces": b"   \n",
    "a word": FOREIGN,
    "null": b"null",
    "a number": b"5",
    "a list in JSON": b"[]",
    "text in JSON": b'"text"',
    "an empty object": b"{}",
    "binary": b"\xff\x00\xfe",
    "five megabytes": b"x" * 5_000_000,
    "a deep list": b"[" * 100_000,
    "half a pair of surrogates": rb'{"h":"\ud800","n":"\ud800"}',
    "not a number": b'{"h":NaN,"n":NaN}',
    "a field twice": b'{"h":"a","h":"b","n":"a","n":1}',
}
TEXTS: Final[dict[str, Put]] = {name: partial(text, value) for name, value in _TEXTS.items()}
TYPES: Final[dict[str, Put]] = {
    "list": lambda store, key: store.rpush(key, FOREIGN),
    "hash": lambda store, key: store.hset(key, "h", FOREIGN),
    "set": lambda store, key: store.sadd(key, FOREIGN),
    "sorted set": lambda store, key: store.zadd(key, {FOREIGN: 1}),
    "stream": lambda store, key: store.xadd(key, {"h": FOREIGN}),
    "hyperloglog": lambda store, key: store.pfadd(key, FOREIGN),
    "bitmap": lambda store, key: store.setbit(key, 77, 1),
}
_VALUES: Final[dict[str, list[Any]]] = {
    "h": ["B" * 22, 5, None, []],
    "v": ["2", 1.0, True, None],
    "d": [5, "", 'a"b\\', "ümläut" * 4, None],
    "app": [5, None],
    "openid": [[], None],
    "uid": [{}, None],
    "iat": [-1, 1.5, 10**30, 1e300, "now", True, None],
    "life": [0, -5, 10**12, "long", None],
    "k": [5, None],
    "unionid": [5, None],
    "dev": [{}, None],
    "p": [7, None],
    "end": [True, None, "whim", ["kicked"]],
}
FIELDS: Final[dict[str, Put]] = {
    f"{field} {value!r}": partial(with_field, field, value)
    for field, values in _VALUES.items()
    for value in values
}
KINDS: Final = TEXTS | TYPES | FIELDS | {"cut short": shortened}
OTHER_VERSIONS: Final[dict[str, Put]] = {
    "later": partial(with_field, "v", 2),
    "former": partial(with_field, "v", 0),
}


class Foreign(NamedTuple):
    """A kind of thing to be put under a key, in place of whatever is there."""

    name: str
    write: Put

    async def put(self, store: Redis, key: str) -> None:
        if self.name in TYPES:
            await store.delete(key)
        await self.write(store, key)
        assert await store.exists(key)


def kinds(*groups: dict[str, Put]) -> pytest.MarkDecorator:
    named = {name: write for group in groups for name, write in group.items()}
    assert len(named) >= 2
    params = [pytest.param(Foreign(name, write), id=name) for name, write in named.items()]
    return pytest.mark.parametrize("foreign", params)


@pytest.fixture
async def store(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    configured = settings(
        wechat_api_base=(simulator.url,),
        login_coalesce_ms=60_000,
        redis_timeout_ms=5000,  # five megabytes on a busy machine
        device_classes=("default", "pc"),
    )
    async with running_service(configured) as running:
        yield running


async def log_in(api: Api, simulator: Simulator, user: str = "alice", **fields: str) -> str:
    answer = await api.login(await simulator.code(user), **fields)
    assert answer.status == 200
    return str(answer.data["sessionid"])


async def verify(api: Api, sessionid: str) -> Answer:
    return await api.ask("GET", "/verify", headers={"sessionid": sessionid})


async def openid_of(api: Api, sessionid: str) -> str:
    answer = await verify(api, sessionid)
    assert answer.status == 200
    return str(answer.headers["X-Auth-Openid"])


async def guarded(api: Api, sessionid: str) -> set[tuple[int, int]]:
    """What every kind of protected route says."""
    headers = {"sessionid": sessionid}
    asked = (("GET", "/verify"), ("GET", "/session"), ("GET", "/me"), ("DELETE", "/me"))
    answers = [await api.ask(method, path, headers=headers) for method, path in asked]
    return {(one.status, one.code) for one in answers}


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert not [line for line in lines if FOREIGN in line]
    return lines


@kinds(KINDS)
async def test_under_a_session_it_is_a_503_until_the_next_login(
    api: Api,
    simulator: Simulator,
    store: Redis,
    caplog: pytest.LogCaptureFixture,
    foreign: Foreign,
) -> None:
    bob, alice = await log_in(api, simulator, "bob"), await log_in(api, simulator)
    openids = [await openid_of(api, one) for one in (bob, alice)]
    key = KEY_PREFIX + alice[:22]
    await foreign.put(store, key)
    assert await guarded(api, alice) == {UNAVAILABLE}
    assert len(faults(caplog)) == 1
    assert (await api.logout(alice)).status == 200

    await foreign.put(store, key)
    again = await log_in(api, simulator)
    assert again != alice, "it was shared"
    assert [await openid_of(api, one) for one in (bob, again)] == openids
    assert 7190 < await store.ttl(key) <= 7200
    assert len(faults(caplog)) == 1


@kinds(OTHER_VERSIONS)
async def test_a_session_of_another_version_is_a_dead_one(
    api: Api, simulator: Simulator, store: Redis, foreign: Foreign
) -> None:
    alice = await log_in(api, simulator)
    await foreign.put(store, KEY_PREFIX + alice[:22])
    assert await guarded(api, alice) == {EXPIRED}
    assert await openid_of(api, await log_in(api, simulator))


@kinds(TEXTS, TYPES)
async def test_whoever_is_deleted_leaves_none_of_it(
    api: Api, simulator: Simulator, store: Redis, foreign: Foreign
) -> None:
    alice = await log_in(api, simulator)
    key = KEY_PREFIX + handle_of(APPID, await openid_of(api, alice), "pc")
    await foreign.put(store, key)
    gone = await api.ask("DELETE", "/me", headers={"sessionid": alice})
    assert gone.status == 200
    assert not await store.exists(key)


@kinds(KINDS)
async def test_under_a_code_it_refuses_no_login(
    api: Api, simulator: Simulator, store: Redis, foreign: Foreign
) -> None:
    for idempotency_key in (None, "k1"):
        code = await simulator.code()
        await foreign.put(store, code_key("login", APPID, code))
        assert (await api.login(code, key=idempotency_key)).status == 200


ANSWERS: Final[dict[str, list[Any]]] = {
    "at": ["now", None, 1.5, [], -1, 10**17],
    "h": [5, None, "B" * 22, "", "\r\n"],
    "d": [5, None, "ü"],
    "x": ["soon", None, 1e300],
    "u": [5, None, "nobody"],
    "new": [1, None],
    "e": [40001, 49999, [], {}, "40001"],
    "c": [5, None, []],
    "q": [5, None, []],
    "n": [5, None, ""],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, one) for field, values in ANSWERS.items() for one in values]
)
async def test_a_noted_answer_that_is_not_as_it_was_is_no_fault(
    api: Api, simulator: Simulator, store: Redis, field: str, value: Any
) -> None:
    code, bob = await simulator.code(), await log_in(api, simulator, "bob")
    first = await api.login(code, key="k1")
    key = code_key("login", APPID, code)
    marker = json.loads(await store.get(key) or b"")
    await store.set(key, json.dumps({**marker, field: value}), px=60_000)
    again = await api.login(code, key="k1")
    assert again.status in {200, 400, 422}
    if again.status == 200:
        assert again.data["sessionid"] == first.data["sessionid"] != bob
    assert await openid_of(api, await log_in(api, simulator))


@kinds(TEXTS, TYPES)
async def test_under_the_mark_of_a_deleted_user_or_of_a_key_it_refuses_no_login(
    api: Api, simulator: Simulator, store: Redis, foreign: Foreign
) -> None:
    first = await api.login(await simulator.code())
    openid = await openid_of(api, first.data["sessionid"])
    await foreign.put(store, deleted_user_key(first.data["user"]["id"]))
    await foreign.put(store, "minigate:idempotency:" + digest(APPID, openid, digest("k1")))
    assert (await api.login(await simulator.code(), key="k1")).status == 200


@kinds(KINDS, {"in time": in_time})
async def test_under_all_that_a_phone_login_needs_it_costs_a_new_code_at_most(
    api: Api, simulator: Simulator, store: Redis, foreign: Foreign
) -> None:
    async def by_phone(code: str) -> Answer:
        body = {"loginCode": await simulator.code(), "code": code}
        return await api.ask("POST", "/login/phone", json=body)

    async def phone_code() -> str:
        return (await simulator.phone(phone=NUMBER))["code"]

    code = await phone_code()
    first = await by_phone(code)
    assert first.status == 200
    number = NUMBER_PREFIX + digest(APPID, await openid_of(api, first.data["sessionid"]))
    await foreign.put(store, number)
    again = await by_phone(code)
    assert (again.status, again.code) in {(200, 0), (400, 40003)}
    for key in (TOKEN_PREFIX + APPID, LOCK_PREFIX + APPID):
        await foreign.put(store, key)
    code = await phone_code()
    await foreign.put(store, code_key("phone", APPID, code))
    answers = await asyncio.gather(by_phone(await phone_code()), by_phone(await phone_code()))
    later = await by_phone(code)
    assert [one.status for one in (*answers, later)] in ([200, 200, 200], [200, 200, 400])
    assert later.code in {0, 40003}
    assert (await by_phone(await phone_code())).status == 200
