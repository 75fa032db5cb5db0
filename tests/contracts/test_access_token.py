"""The access_token: one for all workers, however many ask and whatever becomes of it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from service.core.errors import (
    PhoneCodeInvalid,
    ServiceError,
    SessionStoreUnavailable,
    WeChatMisconfigured,
    WeChatUnavailable,
)
from service.core.fair_share import FairShare
from service.core.models import AccessToken, WeChatApp
from service.core.outage import Outage
from service.core.throttled_log import ThrottledLog
from service.redis.client import RedisClient
from service.redis.clock import ServerClock
from service.redis.connect import open_client
from service.redis.scripts import Scripts
from service.simulator.app import create_app as create_simulator
from service.simulator.settings import AppEntry, SimulatorSettings
from service.stores.access_tokens import RedisAccessTokens
from service.stores.keyring import Keyring
from service.wechat import access_token
from service.wechat.access_token import AccessTokens
from service.wechat.client import WeChatClient
from service.wechat.http import WeChatHttp, open_http
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND
from tests.support.keys import ACCESS_TOKEN_LOCK_PREFIX as LOCK_PREFIX
from tests.support.keys import ACCESS_TOKEN_PREFIX as KEY_PREFIX
from tests.support.running import Simulator, running
from tests.support.settings import APP_SECRET, APPID, SECRET_KEY, make_settings
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.contracts.conftest import Stores

APP: Final = WeChatApp(APPID, APP_SECRET)
OTHER: Final = WeChatApp("wxfedcba9876543210", "another-secret-of-another-app")
FETCH: Final = "/cgi-bin/stable_token"
REDEEM: Final = "/wxa/business/getuserphonenumber"


@dataclass
class Scene:
    """A WeChat, and workers that share one Redis."""

    stores: Stores
    simulator: Simulator
    world: Any
    http: aiohttp.ClientSession
    timeout: float = 3.0

    def worker(self, *ring: str) -> AccessTokens:
        """One more worker: what it shares with the others is in Redis."""
        keyring = Keyring(ring or (SECRET_KEY,), purpose="access-token")
        store = RedisAccessTokens(self.stores.client, self.stores.scripts(), keyring)
        return AccessTokens(store, self._wire(), ThrottledLog("wechat"))

    def workers(self, count: int) -> list[AccessTokens]:
        return [self.worker() for _ in range(count)]

    def client(self, worker: AccessTokens) -> WeChatClient:
        return WeChatClient(self._wire(), worker)

    async def fetches(self) -> int:
        return await self.simulator.calls(FETCH)

    async def redemptions(self) -> int:
        return await self.simulator.calls(REDEEM)

    async def is_good(self, token: AccessToken) -> bool:
        """Whether WeChat honours it: it looks at the token before the code."""
        try:
            await self._wire().ask(
                APP,
                REDEEM,
                {"access_token": token.value},
                body={"code": "nobody's"},
                error_map={40029: PhoneCodeInvalid},
            )
        except PhoneCodeInvalid:
            return True
        except WeChatUnavailable:
            return False
        raise AssertionError

    def _wire(self) -> WeChatHttp:
        share = FairShare(1000, ThrottledLog("wechat"))
        return WeChatHttp(self.http, bases=(self.simulator.url,), timeout=self.timeout, share=share)


@asynccontextmanager
async def staged(stores: Stores, **overrides: Any) -> AsyncIterator[Scene]:
    entries = tuple(AppEntry(appid=app.appid, secret=SecretStr(app.secret)) for app in (APP, OTHER))
    app = create_simulator(settings=SimulatorSettings(apps=entries, **overrides))
    async with (
        running(app) as url,
        open_http(make_settings(wechat_concurrency=1000)) as http,
        aiohttp.ClientSession() as control,
    ):
        yield Scene(stores, Simulator(url, control), app.ctx.world, http)


@pytest.fixture
async def scene(stores: Stores) -> AsyncIterator[Scene]:
    async with staged(stores) as scene:
        yield scene


async def until(holds: Callable[[], Awaitable[bool]], *, within: float) -> None:
    watch = Stopwatch()
    while not await holds():
        assert not watch.exceeds(within), f"not within {within} s"
        await asyncio.sleep(0.01)


async def ask_all(workers: list[AccessTokens], times: int = 50) -> set[str]:
    """Every worker is asked so many times, all at once; the tokens that they gave."""
    tokens = await asyncio.gather(*(one.get(APP) for one in workers for _ in range(times)))
    return {token.value for token in tokens}


@ALSO_FAKEREDIS
async def test_of_two_hundred_that_ask_at_once_one_asks_wechat(scene: Scene) -> None:
    assert len(await ask_all(scene.workers(4))) == 1
    assert await scene.fetches() == 1
    assert len(await ask_all(scene.workers(4))) == 1
    assert await scene.fetches() == 1


async def test_without_the_lock_every_worker_would_ask(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(self: AccessTokens, app: WeChatApp, **_: object) -> AccessToken:
        return await self._fetch(app)

    monkeypatch.setattr(AccessTokens, "_fetch_alone", at_once)
    # One call each: of many, the first could be done before another worker's turn.
    await ask_all(scene.workers(4), times=1)
    assert await scene.fetches() > 1


async def test_two_apps_have_a_token_each(scene: Scene) -> None:
    worker = scene.worker()
    here, there = await asyncio.gather(worker.get(APP), worker.get(OTHER))
    assert here.value != there.value
    assert await scene.fetches() == 2


@dataclass
class Clock:
    """The time of Redis, as workers see it, and of WeChat."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    scene.world.clock = clock
    real = ServerClock.now_ms
    monkeypatch.setattr(
        ServerClock, "now_ms", lambda self, *at: real(self, *at) + int(clock.ahead * 1000)
    )
    return clock


async def test_tokens_are_not_all_renewed_in_the_same_second(scene: Scene) -> None:
    """Of many mini-programs, say; each up to half a minute before WeChat has a new one."""
    worker, margins = scene.worker(), []
    for _ in range(20):
        token = await worker.get(APP)
        record = orjson.loads(await scene.stores.raw(KEY_PREFIX + APPID))
        margins.append(record["exp"] - record["fresh"])
        await worker.discard(APP, token)
    assert min(margins) >= 300
    assert max(margins) <= 330
    assert max(margins) - min(margins) > 1


async def test_a_token_is_renewed_ahead_and_nobody_waits_for_it(scene: Scene, clock: Clock) -> None:
    workers = scene.workers(3)
    [old] = await ask_all(workers)
    clock.ahead = 6860  # of 7200 seconds; half a minute before WeChat has a new one
    assert await ask_all(workers) == {old}
    assert await scene.fetches() == 1

    clock.ahead = 6901
    await scene.simulator.fault("latency", median_ms=500, tail_ms=500, endpoint=FETCH)
    watch = Stopwatch()
    assert await ask_all(workers) == {old}
    assert watch.seconds < 0.4
    assert await scene.is_good(await workers[0].get(APP))

    async def renewed() -> bool:
        return old not in await ask_all(workers, 2)

    await until(renewed, within=3)
    assert await scene.fetches() == 2
    [new] = await ask_all(workers)
    token = await workers[0].get(APP)
    assert (token.value, token.fresh) == (new, True)
    assert await scene.is_good(token)
    for worker in workers:
        await worker.aclose()


async def test_a_renewal_that_fails_is_not_tried_again_at_once(scene: Scene, clock: Clock) -> None:
    worker = scene.worker()
    await worker.get(APP)
    clock.ahead = 6901
    await scene.simulator.fault("html_502", endpoint=FETCH)
    for _ in range(20):
        await worker.get(APP)
        await worker.aclose()
    assert await scene.fetches() == 2


async def test_a_renewal_that_fails_takes_the_old_token_from_nobody(
    scene: Scene, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_token, "_RENEWAL_PAUSE_SECONDS", -1.0)
    worker = scene.worker()
    old = await worker.get(APP)
    clock.ahead = 6901
    await scene.simulator.fault("html_502", endpoint=FETCH)
    for _ in range(3):
        assert (await worker.get(APP)).value == old.value
        await worker.aclose()
    assert await scene.fetches() > 1
    await scene.simulator.heal()
    await worker.get(APP)
    await worker.aclose()
    assert (await worker.get(APP)).value != old.value


async def test_a_token_that_nobody_asked_for_in_time_is_fetched_anew(
    scene: Scene, clock: Clock
) -> None:
    worker = scene.worker()
    old = await worker.get(APP)
    clock.ahead = 7300
    new = await worker.get(APP)
    assert new.value != old.value
    assert await scene.is_good(new)


@ONE_KIND
async def test_in_real_time_every_token_handed_out_is_good(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lives of three seconds, of which the last is WeChat's overlap."""
    monkeypatch.setattr(access_token, "_OVERLAP_SECONDS", 1)
    monkeypatch.setattr(access_token, "_SHORTEST_SECONDS", 0.3)
    seen: Counter[str] = Counter()
    async with staged(stores, token_life_seconds=3, token_overlap_seconds=1) as scene:
        workers = scene.workers(3)
        give_up = time.monotonic() + 5
        while time.monotonic() < give_up:
            for worker in workers:
                token = await worker.get(APP)
                assert await scene.is_good(token)
                seen[token.value] += 1
        fetches = await scene.fetches()
        for worker in workers:
            await worker.aclose()
    print(f"{seen.total()} asked, {len(seen)} tokens, {fetches} fetches")  # noqa: T201 # figures
    assert len(seen) >= 2
    # Not more than one in the shortest time that there may be between two.
    assert fetches <= 5 / 0.3 + 1


async def replaced(scene: Scene, worker: AccessTokens) -> AccessToken:
    """The worker's token, after somebody else's fetch has made it void."""
    token = await worker.get(APP)
    await scene.simulator.fault("token_superseded", times=1)
    assert not await scene.is_good(token)
    return token


async def discard_late(scene: Scene) -> bool:
    """Whether a newer token outlives the discarding of the older one by a slow worker."""
    first, second = scene.workers(2)
    old = await replaced(scene, first)
    await second.discard(APP, old)
    new = await second.get(APP)
    assert new.value != old.value
    await first.discard(APP, old)
    kept = await scene.stores.redis.exists(KEY_PREFIX + APPID)
    assert (await first.get(APP)).value == new.value
    return bool(kept)


@ALSO_FAKEREDIS
async def test_an_old_token_takes_no_newer_one_with_it(scene: Scene) -> None:
    assert await discard_late(scene)
    assert await scene.fetches() == 2


async def careless(self: RedisAccessTokens, appid: str, _token: AccessToken) -> None:
    await self._redis.delete(KEY_PREFIX + appid)


async def test_discarding_without_a_look_would_take_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisAccessTokens, "discard", careless)
    assert not await discard_late(scene)


async def redeem(scene: Scene, client: WeChatClient, user: str = "alice") -> str:
    code = (await scene.simulator.phone(user, appid=APPID))["code"]
    return (await client.phone_number(APP, code, openid=None)).number


async def test_a_token_that_wechat_refuses_is_renewed_once_and_the_call_succeeds(
    scene: Scene,
) -> None:
    client = scene.client(scene.worker())
    assert await redeem(scene, client)
    await scene.simulator.fault("token_superseded", times=1)
    assert await redeem(scene, client)
    assert (await scene.fetches(), await scene.redemptions()) == (2, 3)


async def superseded_under_load(scene: Scene) -> int:
    """How often a token is fetched when 150 calls of three workers find theirs void."""
    clients = [scene.client(worker) for worker in scene.workers(3)]
    codes = [(await scene.simulator.phone(f"u-{n}", appid=APPID))["code"] for n in range(153)]
    for client in clients:
        await client.phone_number(APP, codes.pop(), openid=None)
    assert await scene.fetches() == 1
    await scene.simulator.fault("token_superseded", times=1)
    # So that some learn of it late, when others have a new one already.
    await scene.simulator.fault("latency", median_ms=120, tail_ms=1200, endpoint=REDEEM)
    numbers = await asyncio.gather(
        *(clients[n % 3].phone_number(APP, code, openid=None) for n, code in enumerate(codes))
    )
    assert len({number.number for number in numbers}) == 150
    return await scene.fetches() - 1


async def test_when_all_find_their_token_void_one_renews_it(scene: Scene) -> None:
    assert await superseded_under_load(scene) == 1


async def test_when_all_discard_without_a_look_it_is_renewed_again_and_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisAccessTokens, "discard", careless)
    assert await superseded_under_load(scene) > 1


async def test_a_token_refused_for_ever_costs_two_calls_and_is_the_operators_alarm(
    scene: Scene,
) -> None:
    client = scene.client(scene.worker())
    await scene.simulator.fault("token_superseded")
    for number in range(1, 4):
        with pytest.raises(WeChatMisconfigured):
            await redeem(scene, client)
        assert await scene.redemptions() == 2 * number
        assert await scene.fetches() <= 2 * number


async def test_a_wrong_secret_costs_one_call_and_is_the_operators_alarm(scene: Scene) -> None:
    worker = scene.worker()
    for errcode in (40001, 40125):
        await scene.simulator.fault("wrong_secret", errcode=errcode)
        with pytest.raises(WeChatMisconfigured):
            await worker.get(WeChatApp(APPID, "wrong"))
        await scene.simulator.heal()
    assert await scene.fetches() == 2


async def test_a_fetch_that_fails_is_told_to_each_who_waits_by_an_error_of_their_own(
    scene: Scene,
) -> None:
    worker = scene.worker()
    await scene.simulator.fault("html_502", endpoint=FETCH)
    errors = await asyncio.gather(*(worker.get(APP) for _ in range(3)), return_exceptions=True)
    assert await scene.fetches() == 1
    assert [type(error) for error in errors] == [WeChatUnavailable] * 3
    assert len({id(error) for error in errors}) == 3


async def takeover(scene: Scene, count: int = 2) -> Stopwatch:
    """How long workers wait for a token while a dead one has the lock."""
    millis = int(access_token.LOCK_SECONDS * 1000)
    await scene.stores.redis.set(LOCK_PREFIX + APPID, "the dead one's", nx=True, px=millis)
    watch = Stopwatch()
    assert len(await ask_all(scene.workers(count))) == 1
    assert await scene.fetches() == 1
    assert await scene.stores.redis.exists(LOCK_PREFIX + APPID) == 0
    return watch


async def test_a_holder_of_the_lock_that_died_is_succeeded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_token, "LOCK_SECONDS", 0.5)
    watch = await takeover(scene, 4)
    assert watch.elapsed > 0.4
    assert watch.seconds < 1.5


@ONE_KIND
async def test_that_takes_less_than_ten_seconds(scene: Scene) -> None:
    watch = await takeover(scene)
    print(f"taken over after {watch.seconds:.2f} s")  # noqa: T201 # a figure to keep
    assert watch.elapsed > 4
    assert watch.seconds < 10


@pytest.mark.parametrize("life", [None, 3600])
async def test_a_lock_that_is_none_of_ours_keeps_nobody_out(scene: Scene, life: int | None) -> None:
    await scene.stores.redis.set(LOCK_PREFIX + APPID, "somebody's", ex=life)
    assert await scene.is_good(await scene.worker().get(APP))


async def test_who_lost_the_lock_does_not_open_it_for_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_token, "LOCK_SECONDS", 0.2)
    await scene.simulator.fault("latency", median_ms=600, tail_ms=600, endpoint=FETCH)
    slow = asyncio.create_task(scene.worker().get(APP))

    async def lost() -> bool:
        return await scene.fetches() == 1 and not await scene.stores.redis.exists(
            LOCK_PREFIX + APPID
        )

    await until(lost, within=2)
    await scene.stores.redis.set(LOCK_PREFIX + APPID, "the next one's")
    await slow
    assert await scene.stores.redis.get(LOCK_PREFIX + APPID) == b"the next one's"


async def fetches_for_many(scene: Scene, left: object) -> int:
    """How often WeChat is asked for a token with so much life left by a hundred calls."""
    await scene.simulator.fault("wrong_type", field="expires_in", value=left, endpoint=FETCH)
    workers = scene.workers(2)
    for _ in range(10):
        await ask_all(workers, 5)
        # Nobody waits for a renewal: on a busy machine all rounds could pass during one.
        for worker in workers:
            await worker.aclose()
    return await scene.fetches()


@pytest.mark.parametrize("left", [2, 29, 30, 31, 299, 300, 301, 7200])
async def test_a_token_near_its_end_is_not_fetched_with_every_call(scene: Scene, left: int) -> None:
    assert await fetches_for_many(scene, left) == 1


async def test_a_fixed_margin_would_fetch_with_every_call(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_token, "_SHORTEST_SECONDS", 0)
    assert await fetches_for_many(scene, 300) >= 10


@pytest.mark.parametrize("left", [0, -1, "7200", None, 1.5, [7200]])
async def test_a_life_that_is_none_is_an_unavailable_wechat(scene: Scene, left: object) -> None:
    await scene.simulator.fault("wrong_type", field="expires_in", value=left)
    with pytest.raises(WeChatUnavailable):
        await scene.worker().get(APP)
    assert await scene.stores.everything() == {}


@pytest.mark.parametrize("value", [None, "", 5, ["x"]])
async def test_a_token_that_is_none_is_an_unavailable_wechat(scene: Scene, value: object) -> None:
    await scene.simulator.fault("wrong_type", field="access_token", value=value)
    with pytest.raises(WeChatUnavailable):
        await scene.worker().get(APP)
    assert await scene.stores.everything() == {}


def forms(secret: str) -> list[bytes]:
    """As it is, in hex, and in base64 wherever in a text it stands."""
    raw = secret.encode()
    found = [raw, raw.hex().encode()]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw)
        urlsafe = base64.urlsafe_b64encode(b"\0" * before + raw)
        found += [
            one[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6] for one in (text, urlsafe)
        ]
    return found


async def readable(scene: Scene, secret: str) -> bool:
    dump = repr(await scene.stores.everything()).encode()
    return any(form in dump for form in forms(secret))


async def test_neither_the_token_nor_the_secret_can_be_read_in_redis(scene: Scene) -> None:
    worker = scene.worker()
    token = await worker.get(APP)
    first = await scene.stores.raw(KEY_PREFIX + APPID)
    assert not await readable(scene, token.value)
    assert not await readable(scene, token.value[3:40])
    assert not await readable(scene, APP_SECRET)
    assert token.value not in repr(token)
    assert 7100 < await scene.stores.redis.ttl(KEY_PREFIX + APPID) <= 7200
    # The same token, sealed once more, looks like another.
    await worker.discard(APP, token)
    assert (await worker.get(APP)).value == token.value
    assert orjson.loads(first)["t"] != orjson.loads(await scene.stores.raw(KEY_PREFIX + APPID))["t"]
    for form in forms(token.value):  # and the search would have found it
        await scene.stores.redis.set("planted", b"x" + form + b"y")
        assert await readable(scene, token.value)


async def test_a_token_sealed_by_a_key_that_left_the_ring_is_fetched_anew(scene: Scene) -> None:
    new_key = "another secret of the operator, long enough"
    before = await scene.worker().get(APP)
    assert (await scene.worker(new_key, SECRET_KEY).get(APP)).version == before.version
    assert await scene.fetches() == 1
    after = await scene.worker(new_key).get(APP)
    assert (after.value, await scene.fetches()) == (before.value, 2)
    assert after.version != before.version
    # What is there may be a living service's: it stays, and each worker has its own till it ends.
    worker = scene.worker(new_key)
    for _ in range(3):
        assert (await worker.get(APP)).value == before.value
    assert await scene.fetches() == 3


async def ask_in_turn(*workers: AccessTokens) -> None:
    for _ in range(20):
        for worker in workers:
            assert (await worker.get(APP)).value


@ALSO_FAKEREDIS
@pytest.mark.bar("K6")
async def test_two_services_with_other_keys_fetch_one_token_each(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """And the one that is there is not fought over."""
    here, there = scene.worker(), scene.worker("another secret of the operator, long enough")
    await ask_in_turn(here, there)
    fetches = await scene.fetches()
    print(f"20 asks each: {fetches} fetches")  # noqa: T201 # a figure to keep
    assert fetches == 2
    assert any("REDIS_PREFIX" in line for line in caplog.messages)


async def test_a_token_of_ones_own_is_discarded_and_renewed_too(scene: Scene, clock: Clock) -> None:
    here, there = scene.worker(), scene.worker("another secret of the operator, long enough")
    await ask_in_turn(here, there)
    await there.discard(APP, await there.get(APP))
    assert await scene.is_good(await there.get(APP))
    assert await scene.fetches() == 3
    clock.ahead = 7300
    await ask_in_turn(there, here)
    for worker in (here, there):
        await worker.aclose()
    assert await scene.fetches() == 5


@pytest.mark.bar("K6")
async def test_services_with_other_prefixes_do_not_see_each_other(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    stores = scene.stores
    other = RedisClient(stores.client.topology, timeout=1, outage=Outage("redis"), prefix="other:")
    here = scene.worker()
    keyring = Keyring(["another secret of the operator, long enough"], purpose="access-token")
    store = RedisAccessTokens(other, Scripts(other), keyring)
    await ask_in_turn(here, AccessTokens(store, scene._wire(), ThrottledLog("wechat")))
    assert await scene.fetches() == 2
    assert not caplog.messages
    assert set(await stores.everything()) == {
        f"{prefix}access-token:{APPID}".encode() for prefix in ("minigate:", "other:")
    }


async def test_a_token_moved_to_another_app_does_not_open_there(scene: Scene) -> None:
    worker = scene.worker()
    token = await worker.get(APP)
    record = await scene.stores.raw(KEY_PREFIX + APPID)
    await scene.stores.redis.set(KEY_PREFIX + OTHER.appid, record)
    assert (await worker.get(OTHER)).value != token.value
    assert await scene.fetches() == 2


@pytest.mark.parametrize("junk", [b"", b"junk", b"[]", b"{}", b'{"v":1,"t":5,"exp":0,"fresh":0}'])
async def test_a_record_that_is_none_is_fetched_anew(scene: Scene, junk: bytes) -> None:
    await scene.stores.redis.set(KEY_PREFIX + APPID, junk)
    assert await scene.is_good(await scene.worker().get(APP))
    assert await scene.fetches() == 1


async def test_a_wechat_that_hangs_keeps_nobody_waiting_for_the_others(scene: Scene) -> None:
    """Each may wait for one call to WeChat, and not for those of all who came before."""
    scene.timeout = 0.4
    await scene.simulator.fault("hang", endpoint=FETCH)
    worker = scene.worker()
    waited = []

    async def ask() -> None:
        watch = Stopwatch(alone=True)
        with pytest.raises(ServiceError):
            await worker.get(APP)
        waited.append(watch.seconds)

    await asyncio.gather(*(ask() for _ in range(20)))
    fetches = await scene.fetches()
    await scene.simulator.heal()
    print(f"20 asked: longest {max(waited):.2f} s, {fetches} calls")  # noqa: T201 # figures
    assert max(waited) < 2


async def test_without_redis_there_is_no_token_and_no_call(simulator: Simulator) -> None:
    redis = open_client(make_settings(redis_timeout_ms=50), Outage("redis"))
    async with open_http(make_settings()) as session:
        share = FairShare(10, ThrottledLog("wechat"))
        http = WeChatHttp(session, bases=(simulator.url,), timeout=1, share=share)
        keyring = Keyring((SECRET_KEY,), purpose="access-token")
        store = RedisAccessTokens(redis, Scripts(redis), keyring)
        worker = AccessTokens(store, http, ThrottledLog("wechat"))
        with pytest.raises(SessionStoreUnavailable):
            await worker.get(APP)
    await redis.aclose()
    assert await simulator.calls(FETCH) == 0
