"""The WeChat client and the simulator hold each other to WeChat's wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from service.core import outage, throttled_log
from service.core.errors import (
    LoginCodeInvalid,
    LoginCodeUsed,
    RateLimited,
    ServiceError,
    WeChatBusy,
    WeChatMisconfigured,
    WeChatRateLimited,
    WeChatUnavailable,
)
from service.core.fair_share import FairShare
from service.core.models import WeChatApp
from service.core.outage import Outage
from service.core.throttled_log import ThrottledLog
from service.redis.connect import open_client
from service.redis.scripts import Scripts
from service.simulator.settings import AppEntry
from service.stores.access_tokens import RedisAccessTokens
from service.stores.keyring import Keyring
from service.wechat import breaker, errcodes
from service.wechat.access_token import AccessTokens
from service.wechat.client import WeChatClient
from service.wechat.http import WeChatHttp, open_http
from service.wechat.meanings import MEANINGS, meaning_of
from tests.support.clock import Clock
from tests.support.running import running_simulator
from tests.support.settings import APP_SECRET, APPID, make_settings
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.core.models import WeChatIdentity
    from tests.support.running import Simulator

APP = WeChatApp(APPID, APP_SECRET)


@asynccontextmanager
async def client(
    *bases: str, timeout: float = 3, concurrency: int = 8
) -> AsyncIterator[WeChatClient]:
    settings = make_settings(wechat_timeout_ms=int(timeout * 1000), wechat_concurrency=concurrency)
    async with open_http(settings) as session:
        share = FairShare(concurrency, ThrottledLog("wechat"))
        http = WeChatHttp(session, bases=bases, timeout=timeout, share=share)
        yield WeChatClient(http, _no_tokens(http))


async def exchange(simulator: Simulator, user: str = "alice") -> WeChatIdentity:
    async with client(simulator.url) as wechat:
        return await wechat.code2session(APP, await simulator.code(user))


async def test_a_code_tells_who_the_user_is(simulator: Simulator) -> None:
    alice, again, bob = [await exchange(simulator, user) for user in ("alice", "alice", "bob")]
    assert alice.openid == again.openid != bob.openid
    assert len(alice.session_key) == 16
    assert alice.session_key != again.session_key
    assert alice.unionid is None


async def test_a_bound_app_gets_the_unionid() -> None:
    entry = AppEntry(appid=APPID, secret=SecretStr(APP_SECRET), platform="studio")
    async with running_simulator(apps=(entry,)) as simulator:
        identity = await exchange(simulator)
        assert identity.unionid
        assert identity.unionid.startswith("o")


async def test_escaped_slashes_in_keys_are_undone(simulator: Simulator) -> None:
    # 28 of 100 keys have a slash: fifty exchanges without one are a one in 14 million chance.
    async with client(simulator.url) as wechat:
        keys = [
            (await wechat.code2session(APP, await simulator.code())).session_key for _ in range(50)
        ]
    assert all(len(key) == 16 for key in keys)


async def test_used_unknown_and_foreign_codes_are_told_apart(simulator: Simulator) -> None:
    async with client(simulator.url) as wechat:
        code = await simulator.code()
        await wechat.code2session(APP, code)
        with pytest.raises(LoginCodeUsed):
            await wechat.code2session(APP, code)
        for unknown in ("0nothing", "the code is a mock one", "x" * 128, "&secret=1", "中文"):
            with pytest.raises(LoginCodeInvalid):
                await wechat.code2session(APP, unknown)


async def test_a_wrong_secret_is_the_operators_alarm_and_no_users_fault(
    simulator: Simulator,
) -> None:
    async with client(simulator.url) as wechat:
        for app in (WeChatApp(APPID, "wrong"), WeChatApp("wxwrong", APP_SECRET)):
            with pytest.raises(WeChatMisconfigured):
                await wechat.code2session(app, await simulator.code())


async def test_what_is_said_of_refusals_is_said_now_and_then_and_hides_nothing(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (throttled_log, outage):
        monkeypatch.setattr(module, "time", Clock())
    caplog.set_level("INFO")
    other = WeChatApp("wxother", APP_SECRET)
    async with client(simulator.url, concurrency=100) as wechat:
        for number in range(20):
            code = f"0wrong{number}"
            for app, kind in (
                (APP, LoginCodeInvalid),
                (WeChatApp(APPID, "wrong"), WeChatMisconfigured),
                (other, WeChatMisconfigured),
            ):
                with pytest.raises(kind):
                    await wechat.code2session(app, code)
        for errcode in range(90000, 90010):
            await simulator.fault("errcode", errcode=errcode, times=1)
            with pytest.raises(WeChatUnavailable):
                await wechat.code2session(APP, await simulator.code())
    lines = [
        (one.levelname, fields["errcode"], fields["appid"], one.message.partition(": ")[2])
        for one in caplog.records
        if "errcode" in (fields := vars(one))
    ]
    begins = "outage begins: /sns/jscode2session failed: "
    assert [line[:3] for line in lines] == [
        ("INFO", 40029, APPID),
        ("ERROR", 40125, APPID),
        ("ERROR", 40013, "wxother"),
        ("ERROR", 90000, APPID),
    ]
    assert lines[0][3] == "/sns/jscode2session refused: login_code_invalid"
    assert lines[1][3].startswith(f"{begins}40125: the AppSecret of {APPID} is wrong")
    assert lines[2][3].startswith(f"{begins}40013: WeChat knows no appid wxother: ")
    assert lines[3][3].startswith(f"{begins}90000: not an errcode that MiniGate knows")


REFUSED = "ClientConnectorError (ECONNREFUSED: Connection refused)"


async def test_what_fails_on_the_way_is_said_now_and_then(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (throttled_log, outage):
        monkeypatch.setattr(module, "time", Clock())
    async with client(simulator.url) as wechat:
        await simulator.fault("html_502")
        for _ in range(5):
            with pytest.raises(WeChatUnavailable):
                await wechat.code2session(APP, await simulator.code())
    async with client("http://127.0.0.1:1") as wechat:
        for number in range(5):
            with pytest.raises(WeChatUnavailable):
                await wechat.code2session(APP, f"0code{number}")
    told = [one.message for one in caplog.records if one.message.startswith("wechat: ")]
    assert told == [
        "wechat: outage begins: /sns/jscode2session failed: unusable answer: HTTP 502",
        f"wechat: outage begins: connecting failed: {REFUSED}",
    ]
    assert vars(caplog.records[-1])["where"] == "127.0.0.1:1"


@pytest.mark.parametrize("errcode", errcodes.CODE2SESSION)
async def test_every_errcode_becomes_its_error(simulator: Simulator, errcode: int) -> None:
    await simulator.fault("errcode", errcode=errcode)
    with pytest.raises(ServiceError) as refusal:
        await exchange(simulator)
    assert type(refusal.value) is errcodes.CODE2SESSION[errcode]


async def test_an_unknown_errcode_is_an_unavailable_wechat(simulator: Simulator) -> None:
    await simulator.fault("errcode", errcode=99999)
    with pytest.raises(WeChatUnavailable):
        await exchange(simulator)


@pytest.mark.bar("C3")
async def test_a_busy_wechat_is_asked_once_more_and_no_more(simulator: Simulator) -> None:
    await simulator.fault("errcode", errcode=-1, times=1)
    assert (await exchange(simulator)).openid
    assert await simulator.exchanges() == 2
    await simulator.fault("errcode", errcode=-1)
    with pytest.raises(WeChatUnavailable):
        await exchange(simulator)
    assert await simulator.exchanges() == 4


@pytest.mark.parametrize("kind", ["reset", "reset_after_headers", "drop_after_consume"])
async def test_a_code_is_never_sent_again_after_it_left(simulator: Simulator, kind: str) -> None:
    async with client(simulator.url) as wechat:
        await wechat.code2session(APP, await simulator.code())  # the connection is kept alive
        await simulator.fault(kind, times=1)
        with pytest.raises(WeChatUnavailable) as refusal:
            await wechat.code2session(APP, await simulator.code())
        assert refusal.value.sent
        assert refusal.value.data == {"retry": "new_code"}
        assert (await simulator.stats())["repeatedCodes"] == 0
        assert (await wechat.code2session(APP, await simulator.code())).openid


async def test_a_host_that_cannot_be_reached_is_passed_over(simulator: Simulator) -> None:
    async with client(_dead_address(), simulator.url) as wechat:
        assert (await wechat.code2session(APP, await simulator.code())).openid


async def test_when_no_host_can_be_reached_the_code_is_still_good(simulator: Simulator) -> None:
    code = await simulator.code()
    async with client(_dead_address(), _dead_address()) as wechat:
        with pytest.raises(WeChatUnavailable) as refusal:
            await wechat.code2session(APP, code)
        assert not refusal.value.sent
        assert refusal.value.data == {"retry": "same_code"}
    async with client(simulator.url) as wechat:
        assert (await wechat.code2session(APP, code)).openid


async def test_a_wechat_that_hangs_is_given_up_in_time(simulator: Simulator) -> None:
    await simulator.fault("hang")
    async with client(simulator.url, timeout=0.3) as wechat:
        watch = Stopwatch(alone=True)
        with pytest.raises(WeChatUnavailable):
            await wechat.code2session(APP, await simulator.code())
        # uvloop's clock counts whole milliseconds.
        assert watch.elapsed > 0.299
        assert watch.seconds < 1
    await simulator.heal()


async def test_more_exchanges_than_allowed_are_refused_soon(simulator: Simulator) -> None:
    await simulator.fault("hang")
    codes = [await simulator.code() for _ in range(20)]
    async with client(simulator.url, timeout=2, concurrency=5) as wechat:
        results = await asyncio.gather(
            *(wechat.code2session(APP, code) for code in codes), return_exceptions=True
        )
    assert sum(isinstance(one, WeChatBusy) for one in results) == 15
    assert sum(isinstance(one, WeChatUnavailable) for one in results) == 5
    await simulator.heal()


async def ask(
    wechat: WeChatClient, code: str, *, app: WeChatApp = APP, who: str | None = None
) -> object:
    """The openid, or the error."""
    try:
        return (await wechat.code2session(app, code, client=who)).openid
    except ServiceError as error:
        return error


async def test_a_wechat_that_hangs_is_asked_once_in_a_while_until_it_answers(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", 0.6)
    await simulator.fault("hang")
    codes = [await simulator.code(f"user-{number}") for number in range(60)]
    async with client(simulator.url, timeout=0.3) as wechat:
        hung = await asyncio.gather(*(ask(wechat, codes.pop()) for _ in range(5)))
        assert all(isinstance(one, WeChatUnavailable) for one in hung)
        assert await simulator.exchanges() == 5
        watch = Stopwatch(alone=True)
        refusal = await ask(wechat, codes[0])
        assert watch.seconds < 0.1
        assert isinstance(refusal, WeChatUnavailable)
        assert (refusal.data, refusal.retry_after) == ({"retry": "same_code"}, 1)
        await asyncio.sleep(0.65)
        await asyncio.gather(*(ask(wechat, codes.pop()) for _ in range(20)))
        assert await simulator.exchanges() == 6
        await simulator.heal()
        healed = Stopwatch(alone=True)
        while isinstance(await ask(wechat, codes[0]), ServiceError):
            await asyncio.sleep(0.01)
        assert healed.seconds < 0.8
        assert await simulator.exchanges() == 7
        after = await asyncio.gather(*(ask(wechat, code) for code in codes[1:9]))
        assert all(isinstance(one, str) for one in after)


async def test_a_host_that_takes_no_connection_in_time_hangs_as_well(
    simulator: Simulator,
) -> None:
    # A full backlog: the kernel lets no more connections in, and says nothing.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as stack:
        address = deaf.getsockname()
        stack.enter_context(socket.create_connection(address))
        async with client(f"http://127.0.0.1:{address[1]}", timeout=0.5) as wechat:
            code = await simulator.code()
            hung = await asyncio.gather(*(ask(wechat, code) for _ in range(5)))
            watch = Stopwatch(alone=True)
            refusal = await ask(wechat, code)
            assert watch.seconds < 0.1
    assert isinstance(refusal, WeChatUnavailable)
    assert refusal.retry_after == 5
    assert all(isinstance(one, WeChatUnavailable) and not one.sent for one in hung)


@pytest.mark.bar("C3")
async def test_a_quota_that_is_used_up_stops_the_calls_of_its_app() -> None:
    other = WeChatApp("wx00000000000000aa", APP_SECRET)
    entries = tuple(AppEntry(appid=one.appid, secret=SecretStr(APP_SECRET)) for one in (APP, other))
    async with running_simulator(apps=entries) as simulator, client(simulator.url) as wechat:
        ours = [await simulator.code(appid=APP.appid) for _ in range(2)]
        await simulator.fault("errcode", errcode=45009, times=1)
        outcomes = [await ask(wechat, code) for code in ours]
        assert [type(one) for one in outcomes] == [WeChatRateLimited] * 2
        assert [one.data for one in outcomes] == [None, {"retry": "same_code"}]  # type: ignore[attr-defined] # errors
        assert await simulator.exchanges() == 1
        theirs = [await simulator.code(appid=other.appid) for _ in range(9)]
        assert isinstance(await ask(wechat, theirs.pop(), app=other), str)
        # Whoever is refused in any case does not wait for a place first.
        await simulator.fault("hang")
        hanging = [asyncio.create_task(ask(wechat, code, app=other)) for code in theirs]
        while await simulator.exchanges() < 10:
            await asyncio.sleep(0.01)
        watch = Stopwatch(alone=True)
        assert isinstance(await ask(wechat, ours[1]), WeChatRateLimited)
        assert watch.seconds < 0.1
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_user_who_logs_in_too_often_stops_nobody_else() -> None:
    async with running_simulator(minute_quota=3) as simulator, client(simulator.url) as wechat:
        mallory = [await simulator.code("mallory") for _ in range(30)]
        outcomes = [await ask(wechat, code, who="203.0.113.7") for code in mallory]
        # The minute may turn on the way.
        assert sum(isinstance(one, WeChatRateLimited) for one in outcomes) >= 24
        assert await simulator.exchanges() == 30
        assert isinstance(await ask(wechat, await simulator.code("alice")), str)


async def test_one_client_cannot_take_the_places_of_the_others(simulator: Simulator) -> None:
    await simulator.fault("latency", median_ms=300, tail_ms=300)
    honest = [await simulator.code(f"user-{number}") for number in range(4)]
    async with client(simulator.url, concurrency=8) as wechat:
        flood = [
            asyncio.create_task(ask(wechat, f"0wrong{number}", who="203.0.113.7"))
            for number in range(100)
        ]
        await asyncio.sleep(0.1)
        watch = Stopwatch(alone=True)
        served = await asyncio.gather(
            *(ask(wechat, code, who=f"198.51.100.{n}") for n, code in enumerate(honest))
        )
        assert watch.seconds < 0.5
        assert all(isinstance(one, str) for one in served)
        refused = [type(one) for one in await asyncio.gather(*flood)]
    assert Counter(refused) == {LoginCodeInvalid: 2, RateLimited: 98}


async def test_no_exception_carries_the_secret_or_the_code(simulator: Simulator) -> None:
    for kind in ("reset", "html_502", "truncated_json", "html_200", "missing_field", "redirect"):
        await simulator.fault(kind)
        code = await simulator.code()
        async with client(simulator.url) as wechat:
            with pytest.raises(ServiceError) as refusal:
                await wechat.code2session(APP, code)
        chain: list[BaseException] = []
        error: BaseException | None = refusal.value
        while error is not None:
            chain.append(error)
            error = error.__cause__
        shown = " ".join(f"{one!r} {one}" for one in chain)
        assert APP_SECRET not in shown
        assert code not in shown
        await simulator.heal()


@pytest.mark.parametrize(
    ("errmsg", "logged"),
    [
        ("invalid code, rid: 66c69111-4157f271-729ca238", {"rid": "66c69111-4157f271-729ca238"}),
        (
            "access_token expired rid: 66c69111-4157f271-729ca238",
            {"rid": "66c69111-4157f271-729ca238"},
        ),
        ("invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist", {"ip": "1.2.3.4"}),
        ("invalid ip ::::, rid: nonsense", {}),
        ({"secret": 1}, {}),
        (None, {}),
    ],
)
def test_only_the_rid_and_our_own_address_are_logged_of_a_message(
    errmsg: object, logged: dict[str, str]
) -> None:
    assert errcodes.loggable(errmsg) == logged


MAPS = (errcodes.CODE2SESSION, errcodes.TOKENED, errcodes.PHONE_NUMBER)


def test_every_errcode_that_somebody_has_to_act_on_has_words_for_it() -> None:
    for_somebody = {
        errcode
        for one in MAPS
        for errcode, kind in one.items()
        if errcodes.is_outage(errcode, kind)
    }
    assert {40013, 40125, 40164, 40243, 48001, 50002} < for_somebody
    assert set(MEANINGS) == for_somebody
    for errcode in for_somebody:
        found = meaning_of(errcode, APPID, "203.0.113.7")
        assert (found.en + found.cure).isascii()
        assert not (found.zh + found.cure_zh).isascii()
        assert all(one and "{" not in one for one in found)
    for told in zip(*((one.en, one.zh) for one in MEANINGS.values()), strict=True):
        assert len(set(told)) == len(MEANINGS)


def test_the_meaning_names_the_app_and_the_address() -> None:
    assert meaning_of(40125, APPID).en.startswith(f"the AppSecret of {APPID} is wrong")
    listed = meaning_of(40164, APPID, "203.0.113.7")
    assert listed.en.startswith("the address 203.0.113.7, from which")
    assert "IP whitelist" in listed.cure
    assert meaning_of(40164, APPID).en.startswith("the address of this service, from which")
    assert meaning_of(12345, APPID) == meaning_of(None, APPID)


async def test_the_address_that_wechat_names_is_in_the_line_and_the_secret_is_not(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    errmsg = "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"
    await simulator.fault("errcode", errcode=40164, errmsg=errmsg)
    async with client(simulator.url) as wechat:
        with pytest.raises(WeChatMisconfigured):
            await wechat.code2session(APP, await simulator.code())
    [record] = caplog.records
    assert "40164: the address 203.0.113.7, from which this service calls" in record.message
    assert (vars(record)["errcode"], vars(record)["ip"]) == (40164, "203.0.113.7")
    assert APP_SECRET not in str(vars(record))


async def test_what_wechat_does_for_an_app_ends_what_was_wrong_with_it(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(outage, "time", clock)
    async with client(simulator.url) as wechat:
        for errcode in (40164, 40125):  # the second shows once the first is mended
            await simulator.fault("errcode", errcode=errcode, times=2)
            for _ in range(2):
                with pytest.raises(WeChatMisconfigured):
                    await wechat.code2session(APP, await simulator.code())
                clock.now += 2
        with pytest.raises(LoginCodeInvalid):  # the client's fault: WeChat has let the app in
            await wechat.code2session(APP, "0unknown")
    told = [one.message.partition(" failed: ")[2][:5] for one in caplog.records]
    over = [one.message for one in caplog.records if one.message.endswith("is over")]
    assert [one for one in told if one] == ["40164", "40125"]
    assert len(over) == 2


@pytest.mark.parametrize("field", ["openid", "session_key"])
async def test_answers_without_what_they_are_for_are_one_outage(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, field: str
) -> None:
    await simulator.fault("missing_field", field=field)
    async with client(simulator.url) as wechat:
        for _ in range(5):
            with pytest.raises(WeChatUnavailable):
                await wechat.code2session(APP, await simulator.code())
    [line] = caplog.messages
    assert line.startswith("wechat: outage begins: /sns/jscode2session failed: no usable openid")


def _dead_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _no_tokens(http: WeChatHttp) -> AccessTokens:
    """For calls that never ask for one: there is no Redis behind it."""
    redis = open_client(make_settings(), Outage("redis"))
    store = RedisAccessTokens(redis, Scripts(redis), Keyring(["k" * 32], purpose="token"))
    return AccessTokens(store, http, ThrottledLog("wechat"))
