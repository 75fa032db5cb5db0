"""Limits in Redis: exact in a burst, right about the wait, unmoved by what else lies there."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import pytest
from limits import parse
from limits.aio.storage.memory import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from service.config.limits import parse_limit
from service.core.errors import RateLimited, SessionStoreUnavailable
from service.core.ids import digest
from service.redis.scripts import Scripts
from service.stores.limits import RedisLimits
from tests.contracts.conftest import client_at
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND
from tests.support.keys import LIMIT_PREFIX as KEY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.config.limits import Limit
    from service.core.ports import LimitName
    from service.dev.embedded_redis import EmbeddedRedis
    from tests.contracts.conftest import Stores

LIMIT: Final[LimitName] = "login_per_address"
HOUR_MS: Final = 3_600_000
KEY: Final = f"{KEY_PREFIX}{LIMIT}:{digest('alice')}"


def so_many(text: str) -> Limit:
    limit = parse_limit(text)
    assert limit is not None
    return limit


def limits(stores: Stores, **allowed: str) -> RedisLimits:
    allowed = allowed or {LIMIT: "10/hour"}
    parsed: Any = {name: so_many(text) for name, text in allowed.items()}
    return RedisLimits(stores.scripts(), parsed)


async def passed(*uses: Awaitable[None]) -> int:
    """How many of them were allowed; the others have to be refused by their limit."""
    outcomes = await asyncio.gather(*uses, return_exceptions=True)
    assert all(one is None or isinstance(one, RateLimited) for one in outcomes), outcomes
    return outcomes.count(None)


async def refusal(counting: Awaitable[None]) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await counting
    return caught.value


async def now_ms(stores: Stores) -> int:
    return await Scripts(stores.client).now_ms(KEY)


async def put(stores: Stores, *, age_ms: int, used: int, before: int) -> None:
    """Have the counter as if its window had begun so long ago."""
    began = await now_ms(stores) - age_ms
    await stores.redis.set(KEY, f"{began} {used} {before}", px=3 * HOUR_MS)


@ALSO_FAKEREDIS
async def test_a_burst_from_two_workers_passes_exactly_what_is_allowed(stores: Stores) -> None:
    one, other = limits(stores), limits(stores)
    assert await passed(*(worker.count(LIMIT, "alice") for worker in (one, other) * 15)) == 10


@ONE_KIND
async def test_so_does_one_over_connections_of_their_own(
    stores: Stores, redis_server: EmbeddedRedis
) -> None:
    async with aclosing(client_at(redis_server.url)) as second:
        clients = (stores.client, second)
        workers = [RedisLimits(Scripts(one), {LIMIT: so_many("100/hour")}) for one in clients]
        uses = [one.count(LIMIT, "alice") for _ in range(150) for one in workers]
        assert await passed(*uses) == 100


@ALSO_FAKEREDIS
async def test_whom_is_counted_and_what_are_kept_apart(stores: Stores) -> None:
    counted = limits(stores, login_per_address="1/hour", login="1/hour")
    await counted.count("login_per_address", "alice")
    await counted.count("login_per_address", "bob")
    await counted.count("login", "alice")
    assert (await refusal(counted.count("login", "alice"))).data == {"limit": "login"}


async def test_what_is_not_limited_is_not_counted(stores: Stores) -> None:
    counted = limits(stores, login="1/hour")
    for _ in range(3):
        await counted.count(LIMIT, "alice")
        await counted.add(LIMIT, "alice", cost=5)
    assert await stores.everything() == {}


async def test_what_has_happened_counts_over_the_limit(stores: Stores) -> None:
    counted = limits(stores)
    await counted.add(LIMIT, "alice", cost=25)
    await refusal(counted.count(LIMIT, "alice"))
    await counted.add(LIMIT, "alice", cost=-16)
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(5))) == 1


async def test_what_is_refused_is_not_counted(stores: Stores) -> None:
    counted = limits(stores)
    await counted.count(LIMIT, "alice", cost=8)
    await refusal(counted.count(LIMIT, "alice", cost=3))
    await counted.count(LIMIT, "alice", cost=2)


async def test_all_or_none_of_several_limits_are_counted(stores: Stores) -> None:
    counted = limits(stores, login_per_address="2/hour", login_per_app="10/day", login="10/minute")
    uses: dict[LimitName, str] = {"login_per_app": "wx", "login": "", "login_per_address": "alice"}
    assert await passed(*(counted.count_all(uses) for _ in range(9))) == 2
    # The seven that were refused are counted nowhere.
    assert await passed(*(counted.count("login_per_app", "wx") for _ in range(20))) == 8
    assert await passed(*(counted.count("login", "") for _ in range(20))) == 8


@ALSO_FAKEREDIS
async def test_doubtful_uses_have_half_and_the_others_what_is_left(stores: Stores) -> None:
    one, other = limits(stores), limits(stores)
    doubtful = (each.count(LIMIT, "alice", doubtful=True) for each in (one, other) * 10)
    assert await passed(*doubtful) == 5
    assert await passed(*(each.count(LIMIT, "alice") for each in (one, other) * 10)) == 5
    await refusal(one.count(LIMIT, "alice", doubtful=True))


async def test_where_others_have_it_all_nothing_is_left_for_doubtful_ones(stores: Stores) -> None:
    counted = limits(stores)
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(8))) == 8
    uses = (counted.count(LIMIT, "alice", doubtful=True) for _ in range(8))
    assert await passed(*uses) == 2


async def test_a_use_turns_out_to_be_doubtful_or_not_to_be(stores: Stores) -> None:
    counted = limits(stores)

    async def doubtful(times: int) -> int:
        uses = (counted.count(LIMIT, "alice", doubtful=True) for _ in range(times))
        return await passed(*uses)

    await counted.count(LIMIT, "alice")
    await counted.add(LIMIT, "alice", doubtful=1)
    assert await doubtful(9) == 4
    await counted.add(LIMIT, "alice", doubtful=-1)
    assert await doubtful(9) == 1
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(9))) == 4
    await counted.add(LIMIT, "alice", cost=-1, doubtful=-1)
    assert await doubtful(9) == 1


async def test_all_or_none_of_several_limits_have_a_doubtful_use(stores: Stores) -> None:
    counted = limits(stores, login_per_app="10/hour", login="4/hour")
    uses: dict[LimitName, str] = {"login_per_app": "wx", "login": ""}
    assert await passed(*(counted.count_all(uses, doubtful=True) for _ in range(9))) == 2
    alone = (counted.count("login_per_app", "wx", doubtful=True) for _ in range(9))
    assert await passed(*alone) == 3


@ONE_KIND
async def test_at_no_time_have_doubtful_uses_more_than_half(stores: Stores) -> None:
    """However old the window: there is always half for the others."""
    counted, chance = limits(stores), random.Random(20261127)
    for _ in range(100):
        # As doubtful uses alone may have left it: half in each window, less what slides.
        before = chance.randint(0, 5)
        age_ms = chance.randrange(1, HOUR_MS - 60_000, 7919)
        began = await now_ms(stores) - age_ms
        # The same, kept before the next window began.
        kept = (f"{began} 0 {before} 0 {before}", f"{began - HOUR_MS} {before} 0 {before} 0")
        await stores.redis.set(KEY, chance.choice(kept), px=3 * HOUR_MS)
        await passed(*(counted.count(LIMIT, "alice", doubtful=True) for _ in range(9)))
        others = await passed(*(counted.count(LIMIT, "alice") for _ in range(12)))
        assert others >= 5, (before, age_ms)


async def test_doubtful_uses_of_a_large_limit_are_told_in_batches_too(stores: Stores) -> None:
    workers = [
        RedisLimits(stores.scripts(), {LIMIT: so_many("4000/hour")}, workers=2) for _ in range(2)
    ]
    for _ in range(9):
        await workers[0].count(LIMIT, "bob", doubtful=True)
    assert await stores.everything() == {}
    uses = [one.count(LIMIT, "alice", doubtful=True) for _ in range(1500) for one in workers]
    doubtful = await passed(*uses)
    assert 2000 <= doubtful <= 2020
    for _ in range(50):  # one that turns out well lets no whole batch through
        await workers[0].add(LIMIT, "alice", doubtful=-1)
        uses = [workers[0].count(LIMIT, "alice", doubtful=True) for _ in range(30)]
        doubtful += await passed(*uses)
    assert 2050 <= doubtful <= 2070
    others = await passed(*(one.count(LIMIT, "alice") for _ in range(1500) for one in workers))
    assert 4000 <= doubtful + others <= 4040


async def test_large_limits_are_told_of_in_batches_and_kept_within_a_hundredth(
    stores: Stores,
) -> None:
    workers = [
        RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")}, workers=2) for _ in range(2)
    ]
    for _ in range(4):
        await workers[0].count(LIMIT, "bob")
    assert await stores.everything() == {}, "four people behind one address cost nothing"
    total = 0
    for _ in range(2):  # a burst, and one after it
        total += await passed(*(one.count(LIMIT, "alice") for _ in range(800) for one in workers))
    assert 1000 <= total <= 1010


async def used(stores: Stores) -> int:
    """How much of alice's limit Redis knows of."""
    return int((await stores.raw(KEY)).split()[1])


@ONE_KIND
async def test_a_large_limit_that_is_full_is_refused_without_a_question(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(1200))) == 1000
    monkeypatch.setattr(Scripts, "run_idempotent", None)
    assert (await refusal(counted.count(LIMIT, "alice"))).retry_after in {3600, 3601}


async def test_what_is_given_back_of_a_large_limit_is_there_for_others(stores: Stores) -> None:
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(1200))) == 1000
    for _ in range(5):
        await counted.add(LIMIT, "alice", cost=-1)
    again = await passed(*(counted.count(LIMIT, "alice") for _ in range(100)))
    assert 5 <= again <= 15


async def test_what_is_given_back_of_one_that_is_full_lets_no_batch_through(
    stores: Stores,
) -> None:
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    total = await passed(*(counted.count(LIMIT, "alice") for _ in range(1200)))
    for _ in range(50):
        await counted.add(LIMIT, "alice", cost=-1)
        total += await passed(*(counted.count(LIMIT, "alice") for _ in range(20)))
    assert 1050 <= total <= 1060


async def test_what_turns_out_to_weigh_more_is_kept_exactly_from_then_on(stores: Stores) -> None:
    workers = [
        RedisLimits(stores.scripts(), {LIMIT: so_many("600/hour")}, workers=2) for _ in range(2)
    ]
    for number in range(60):
        await workers[number % 2].count(LIMIT, "alice")
        await workers[number % 2].add(LIMIT, "alice", cost=9)
    for worker in workers:
        await refusal(worker.count(LIMIT, "alice"))
    await workers[0].add(LIMIT, "alice", cost=-9)
    assert await passed(*(one.count(LIMIT, "alice") for one in workers for _ in range(9))) == 9


@ONE_KIND
async def test_one_that_is_full_of_what_weighs_more_is_refused_without_a_question(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("600/hour")})
    await counted.add(LIMIT, "alice", cost=599)
    await counted.count(LIMIT, "alice")
    assert (await refusal(counted.count(LIMIT, "alice"))).retry_after in {3600, 3601}
    monkeypatch.setattr(Scripts, "run_idempotent", None)
    assert (await refusal(counted.count(LIMIT, "alice"))).retry_after in {3600, 3601}


async def test_what_has_happened_is_told_in_batches_too(stores: Stores) -> None:
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    for _ in range(9):
        await counted.add(LIMIT, "alice", cost=1)
    assert await stores.everything() == {}
    await counted.add(LIMIT, "alice", cost=1)
    assert await used(stores) == 10
    for _ in range(1000):
        await counted.add(LIMIT, "alice", cost=1)
    assert (await refusal(counted.count(LIMIT, "alice"))).retry_after is not None


async def test_what_was_refused_because_redis_was_away_is_not_counted_afterwards(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        await asyncio.sleep(0)
        raise SessionStoreUnavailable

    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    with monkeypatch.context() as patched:
        patched.setattr(Scripts, "run_idempotent", away)
        outcomes = await asyncio.gather(
            *(counted.count(LIMIT, "alice") for _ in range(20)), return_exceptions=True
        )
        assert [type(one) for one in outcomes if one] == [SessionStoreUnavailable] * 11
    await counted.count(LIMIT, "alice")
    assert await used(stores) == 10


async def test_who_waits_while_redis_does_not_answer_waits_once(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def hang(*_: object) -> None:
        asked.append(1)
        await asyncio.sleep(0.2)
        raise SessionStoreUnavailable

    monkeypatch.setattr(Scripts, "run_idempotent", hang)
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    outcomes = await asyncio.gather(
        *(counted.count(LIMIT, "alice") for _ in range(60)), return_exceptions=True
    )
    assert [type(one) for one in outcomes if one] == [SessionStoreUnavailable] * 51
    assert len(asked) == 1


async def test_what_is_given_back_while_a_batch_is_told_is_given_back(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = Scripts.run_idempotent
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})

    async def meanwhile(self: Scripts, *command: Any) -> Any:
        await counted.add(LIMIT, "alice", cost=-3)
        return await genuine(self, *command)

    with monkeypatch.context() as patched:
        patched.setattr(Scripts, "run_idempotent", meanwhile)
        for _ in range(10):
            await counted.count(LIMIT, "alice")
    for _ in range(12):
        await counted.count(LIMIT, "alice")
    assert await used(stores) == 10
    await counted.count(LIMIT, "alice")
    assert await used(stores) == 20


async def test_no_more_addresses_are_remembered_than_there_is_room_for(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.limits._MOST_TALLIES", 10)
    counted = RedisLimits(stores.scripts(), {LIMIT: so_many("1000/hour")})
    for number in range(100):
        await counted.count(LIMIT, f"user{number}")
    assert len(counted._tallies) == 10


async def test_what_is_given_back_after_its_window_has_ended_is_given_back(stores: Stores) -> None:
    await put(stores, age_ms=HOUR_MS, used=10, before=0)
    counted = limits(stores)
    await counted.add(LIMIT, "alice", cost=-4)
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(10))) in {4, 5}


@ALSO_FAKEREDIS
async def test_every_counter_ends_by_itself(stores: Stores) -> None:
    counted = limits(stores)
    await counted.count(LIMIT, "alice")
    assert 2 * HOUR_MS - 5000 < await stores.redis.pttl(KEY) <= 2 * HOUR_MS
    assert [*await stores.everything()] == [KEY.encode()], "of whom, is not to be read"


@pytest.mark.parametrize(
    "put_there",
    [
        lambda redis: redis.set(KEY, ""),
        lambda redis: redis.set(KEY, "99"),
        lambda redis: redis.set(KEY, b"\xff" * 100_000),
        lambda redis: redis.set(KEY, "99999999999999 99 99"),
        lambda redis: redis.set(KEY, "1 99 99"),
        lambda redis: redis.set(KEY, "1 99 99 99 99"),
        lambda redis: redis.set(KEY, f"{int(time.time() * 1000)} 9 9 9 9 9"),
        lambda redis: redis.set(KEY, f"{int(time.time() * 1000)} 9 9 x 9"),
        lambda redis: redis.set(KEY, '{"n": 1}'),
        lambda redis: redis.set(KEY, f"{'9' * 400} 1 1"),
        lambda redis: redis.rpush(KEY, "x"),
        lambda redis: redis.hset(KEY, "x", "y"),
        lambda redis: redis.sadd(KEY, "x"),
        lambda redis: redis.zadd(KEY, {"x": 1}),
        lambda redis: redis.xadd(KEY, {"x": "y"}),
    ],
)
@ALSO_FAKEREDIS
async def test_what_is_no_counter_is_overwritten(
    stores: Stores, put_there: Callable[[Any], Awaitable[object]]
) -> None:
    counted = limits(stores)
    await put_there(stores.redis)
    assert await passed(*(counted.count(LIMIT, "alice") for _ in range(12))) == 10
    assert await stores.redis.pttl(KEY) > 0


@ONE_KIND
async def test_a_counter_of_a_clock_that_is_ahead_still_counts(stores: Stores) -> None:
    """The former primary's, before its replica took over."""
    await put(stores, age_ms=-2000, used=10, before=0)
    assert (await refusal(limits(stores).count(LIMIT, "alice"))).retry_after == 3601


@ONE_KIND
async def test_it_allows_what_the_package_allows(stores: Stores) -> None:
    """In 200 states of the counter, by the package's own strategy."""
    item, chance = parse("10/hour"), random.Random(20261126)
    for _ in range(200):
        used, before = chance.randint(0, 12), chance.randint(0, 12)
        age_ms = chance.randrange(1, HOUR_MS - 60_000, 7919)
        await put(stores, age_ms=age_ms, used=used, before=before)
        ours = await passed(limits(stores).count(LIMIT, "alice")) == 1
        theirs = await strategy(before, (HOUR_MS - age_ms) / 1000, used).test(item, "alice")
        assert ours == theirs, (used, before, age_ms)


def strategy(before: int, left: float, used: int) -> SlidingWindowCounterRateLimiter:
    """The package's strategy, over a storage that says how much was counted."""

    class Said(MemoryStorage):
        async def get_sliding_window(self, _key: str, expiry: int) -> tuple[int, float, int, float]:
            return before, left, used, left + expiry

    return SlidingWindowCounterRateLimiter(Said())


@ONE_KIND
async def test_the_wait_is_as_long_as_it_has_to_be_and_no_longer(stores: Stores) -> None:
    counted, chance, waits = limits(stores), random.Random(11), 0

    async def wait_ms(age_ms: int, used: int, before: int) -> tuple[int, int]:
        """What is told of a counter of that age; and by how much it may have been older."""
        began = await now_ms(stores)
        await put(stores, age_ms=age_ms, used=used, before=before)
        try:
            await counted.count(LIMIT, "alice")
        except RateLimited as error:
            return (error.retry_after or 0) * 1000, await now_ms(stores) - began
        return 0, await now_ms(stores) - began

    for _ in range(200):
        used, before = chance.randint(0, 30), chance.randint(0, 30)
        age_ms = chance.randrange(0, HOUR_MS, 7919)
        wait, late = await wait_ms(age_ms, used, before)
        if not wait:
            continue
        waits += 1
        assert wait >= 1000
        assert (await wait_ms(age_ms + wait + late, used, before))[0] == 0
        early, late = await wait_ms(age_ms + wait - 2000, used, before)
        assert early or late >= 1000, "told to wait for longer than it has to be"
    assert waits > 50


@ONE_KIND
async def test_a_reply_to_something_else_allows_nothing(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reply(*_: object) -> bytes:
        await asyncio.sleep(0)
        return b"stored"

    monkeypatch.setattr(Scripts, "run_idempotent", reply)
    with pytest.raises(SessionStoreUnavailable):
        await limits(stores).count(LIMIT, "alice")


async def test_a_redis_that_is_away_allows_nothing() -> None:
    allowed: dict[LimitName, Limit] = {LIMIT: so_many("10/hour"), "login": so_many("10/hour")}
    async with aclosing(client_at("redis://127.0.0.1:1")) as client:
        away = RedisLimits(Scripts(client), allowed)
        with pytest.raises(SessionStoreUnavailable):
            await away.count(LIMIT, "alice")
        with pytest.raises(SessionStoreUnavailable):
            await away.count_all({LIMIT: "alice", "login": ""})
