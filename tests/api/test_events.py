"""What happens over HTTP is told as events: which, with what, and nothing of anybody's secrets."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import SecretStr

from service.core.lifetime import Lifetime
from service.core.models import handle_of
from service.core.why import why_logged_out
from service.simulator.state.identities import openid_of
from tests.support.process import LINUX_ONLY, RedisServer
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service.config.settings import Settings
    from service.core.events import Event
    from tests.support.running import Answer, Api, Simulator

ALICE: Final = openid_of(appid=APPID, user="alice")
HANDLE: Final = handle_of(APPID, ALICE, "default")
WHERE: Final = (APPID, "default")


async def told(api: Api, *names: str, **wanted: Any) -> Sequence[Event]:
    """The last ones that are kept, the oldest first: as soon as these are their names."""
    found: list[Event] = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [*reversed(await api.app.ctx.services.event_history.find(**wanted))]
        if [one.event for one in found][-len(names) :] == list(names):
            return found[-len(names) :]
        await asyncio.sleep(0.05)
    raise AssertionError([one.event for one in found])


async def log_in(api: Api, simulator: Simulator, user: str = "alice", **fields: str) -> Answer:
    answer = await api.login(await simulator.code(user), **fields)
    assert answer.status == 200, answer.body
    return answer


async def test_logins_one_that_replaces_another_and_a_logout(
    api: Api, simulator: Simulator
) -> None:
    first = await log_in(api, simulator)
    user = first.data["user"]["id"]
    second = await log_in(api, simulator)
    assert (await api.logout(second.data["sessionid"])).data == {"ended": True}
    assert (await api.logout(second.data["sessionid"])).data == {"ended": False}
    events = await told(api, "login", "replaced", "login", "logout")
    for one, reason in zip(events, ("new_user", "", "", ""), strict=True):
        assert (one.user, one.handle, one.appid, one.device) == (user, HANDLE, *WHERE)
        assert (one.reason, one.by) == (reason, "")
        assert one.address == ""  # it is a proxy's or a back end's
    ids = [answer.headers["X-Request-ID"] for answer in (first, second)]
    assert [one.request_id for one in events][:3] == [ids[0], ids[1], ids[1]]


async def test_what_was_told_says_why_the_user_was_logged_out(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    own = settings(
        wechat_api_base=(simulator.url,), proxies_count=1, login_coalesce_ms=0, session_ttl=3600
    )
    async with running_service(own) as api:
        for network in ("203.0.113.7", "198.51.100.7"):
            headers = {"X-Forwarded-For": network}
            body = {"code": await simulator.code()}
            answer = await api.ask("POST", "/login", headers=headers, json=body)
        headers = {"X-Forwarded-For": "198.51.100.9", "sessionid": answer.data["sessionid"]}
        assert (await api.ask("POST", "/logout", headers=headers)).status == 200
        await told(api, "login", "replaced", "login", "logout")
        ends = await why_logged_out(
            api.app.ctx.services.event_history,
            user=answer.data["user"]["id"],
            sessions=(),
            handles=[HANDLE],
            lifetime=Lifetime.of(ttl=3600, max_age=3600, sliding=False),
            now=time.time_ns() // 1_000_000,
        )
    assert [(one.handle, one.cause) for one in ends] == [(HANDLE, "logout"), (HANDLE, "replaced")]
    assert ends[0].said.en == "Logged out by the user (from 198.51.100.0/24)."
    assert "198.51.100.0/24" in ends[1].said.zh


async def test_a_login_that_shares_a_session_is_no_other_one(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with running_service(settings(wechat_api_base=(simulator.url,))) as api:
        first, second = await log_in(api, simulator), await log_in(api, simulator)
        assert first.data["sessionid"] == second.data["sessionid"]
        login, shared = await told(api, "login", "shared")
        assert (login.reason, shared.reason) == ("new_user", "")
        assert login[2:6] == shared[2:6]


async def test_a_login_that_is_repeated_is_none(api: Api, simulator: Simulator) -> None:
    code = await simulator.code()
    for _ in range(2):
        assert (await api.login(code, key="the-same")).status == 200
    await log_in(api, simulator, "bob")
    await told(api, "login", "login")
    assert len(await api.app.ctx.services.event_history.find()) == 2


async def test_refused_logins_say_why_and_what_wechat_said(api: Api, simulator: Simulator) -> None:
    code = await simulator.code()
    assert (await api.login(code)).status == 200
    assert (await api.login(code)).code == 40002
    assert (await api.login("nothing of WeChat's")).code == 40001
    await simulator.fault("errcode", errcode=40125)
    assert (await api.login(await simulator.code())).code == 50310
    _, *refused = await told(api, "login", "login_refused", "login_refused", "login_refused")
    assert [one.reason for one in refused] == [
        "login_code_used",
        "login_code_invalid:40029",
        "wechat_misconfigured:40125",
    ]
    for one in refused:
        assert (one.user, one.handle, one.appid, one.device) == ("", "", *WHERE)


async def test_who_is_refused_is_told_where_wechat_has_said_so(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = (await log_in(api, simulator)).data["user"]["id"]
    from service.core.errors import SessionStoreUnavailable  # noqa: PLC0415 # for this one

    async def away(*_: object, **__: object) -> None:
        raise SessionStoreUnavailable

    monkeypatch.setattr(api.app.ctx.services.sessions, "create", away)
    assert (await api.login(await simulator.code())).code == 50300
    _, refused = await told(api, "login", "login_refused")
    assert (refused.user, refused.reason) == (user, "session_store_unavailable")


async def test_a_renewal_and_an_end_that_is_noticed(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    sliding = settings(
        wechat_api_base=(simulator.url,),
        session_renewal="sliding",
        session_ttl=2,
        session_max_age=60,
    )
    async with running_service(sliding) as api:
        sessionid = (await log_in(api, simulator)).data["sessionid"]
        headers = {"sessionid": sessionid}
        deadline = time.monotonic() + 1.9
        renewed: Sequence[Event] = ()
        while not renewed and time.monotonic() < deadline:
            assert (await api.ask("GET", "/verify", headers=headers)).status == 200
            await asyncio.sleep(0.05)
            renewed = await api.app.ctx.services.event_history.find(event="renewed")
        assert [one.handle for one in renewed] == [HANDLE]
        await asyncio.sleep(2.1)
        assert (await api.ask("GET", "/verify", headers=headers)).status == 401
        assert (await api.session(sessionid)).code == 40102
        *_, expired = await told(api, "login", "renewed", "expired")
        assert (expired.handle, expired.reason) == (HANDLE, "unknown")


async def test_a_session_whose_key_has_left_the_ring_says_so_once_it_matters(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    here = settings(wechat_api_base=(simulator.url,))
    async with running_service(here) as api:
        sessionid = (await log_in(api, simulator)).data["sessionid"]
        await told(api, "login")
    other = here.model_copy(update={"secret_keys": (SecretStr("another-key-canary-" + "x9" * 12),)})
    async with running_service(other) as api:
        headers = {"sessionid": sessionid}
        assert (await api.session(sessionid)).status == 200
        sealed = await simulator.profile()
        body = {name: sealed[name] for name in ("encryptedData", "iv")}
        for _ in range(2):
            answer = await api.ask("POST", "/decrypt", headers=headers, json=body)
            assert (answer.code, answer.data) == (40005, {"relogin": True})
        await log_in(api, simulator)
        expired, replaced, _ = await told(api, "expired", "replaced", "login")
        assert (expired.handle, expired.reason) == (HANDLE, "key_lost")
        assert expired[4:6] == WHERE
        assert (replaced.handle, replaced.reason) == (HANDLE, "key_lost")


async def test_phone_numbers_and_accounts_that_are_joined(api: Api, simulator: Simulator) -> None:
    async def phone(user: str, number: str) -> dict[str, str]:
        return await simulator.phone(user, phone=number)

    async def log_in_with(user: str, number: str) -> Answer:
        code = (await phone(user, number))["code"]
        body = {"loginCode": await simulator.code(user), "code": code}
        answer = await api.ask("POST", "/login/phone", json=body)
        assert answer.status == 200, answer.body
        return answer

    first = await log_in_with("alice", "13800000001")
    _, bound = await told(api, "login", "phone_bound")
    assert (bound.user, bound.handle, bound.reason) == (first.data["user"]["id"], HANDLE, "login")
    again = await log_in_with("alice", "13800000001")
    headers = {"sessionid": again.data["sessionid"]}
    code = {"code": (await phone("alice", "13800000002"))["code"]}
    assert (await api.ask("PUT", "/me/phone", headers=headers, json=code)).status == 200
    *_, bound = await told(api, "replaced", "login", "phone_bound")
    assert bound.reason == "code"
    assert bound.handle == HANDLE

    # Bob binds one by data that proves nothing, and Carol proves that it is hers.
    bob = await log_in(api, simulator, "bob")
    sealed = await phone("bob", "13800000003")
    body = {name: sealed[name] for name in ("encryptedData", "iv")}
    headers = {"sessionid": bob.data["sessionid"]}
    assert (await api.ask("PUT", "/me/phone", headers=headers, json=body)).status == 200
    carol = await log_in_with("carol", "13800000003")
    ids = bob.data["user"]["id"], carol.data["user"]["id"]
    _, moved, went, *_ = await told(
        api, "phone_bound", "account_linked", "account_linked", "login", "phone_bound"
    )
    assert (moved.user, moved.reason) == (ids[1], f"phone_of:{ids[0]}")
    assert (went.user, went.reason) == (ids[0], f"phone_went_to:{ids[1]}")


@pytest.mark.parametrize(
    ("wanted", "address", "shown"),
    [
        ("network", "203.0.113.77", "203.0.113.0/24"),
        ("full", "203.0.113.77", "203.0.113.77"),
        ("none", "203.0.113.77", ""),
        ("network", "2001:db8:1:2:3:4:5:6", "2001:db8:1::/56"),
        ("full", "2001:db8:1:2:3:4:5:6", "2001:db8:1::/56"),
        ("network", "unknown", ""),
    ],
)
async def test_of_the_address_as_much_is_told_as_is_wanted(
    settings: Callable[..., Settings], simulator: Simulator, wanted: str, address: str, shown: str
) -> None:
    own = settings(wechat_api_base=(simulator.url,), proxies_count=1, events_address=wanted)
    async with running_service(own) as api:
        headers = {"X-Forwarded-For": f"198.51.100.1, {address}"}
        body = {"code": await simulator.code()}
        assert (await api.ask("POST", "/login", headers=headers, json=body)).status == 200
        [login] = await told(api, "login")
        assert login.address == shown


async def test_made_up_ids_push_nothing_out_and_are_counted(
    api: Api,
    simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.stores.doubtful_events._SAY_SECONDS", 0.5)
    caplog.set_level(logging.INFO)
    await log_in(api, simulator)
    for number in range(300):
        made_up = f"{number:022}.{'x' * 43}"
        assert (await api.session(made_up)).status == 401
    guess = f"{HANDLE}.{'x' * 43}"
    for _ in range(5):
        assert (await api.session(guess)).status == 401
    await log_in(api, simulator)
    await told(api, "replaced", "login")
    kept = await api.app.ctx.services.event_history.find(limit=1000)
    assert 60 <= len([one for one in kept if one.event == "expired"]) <= 63
    lines = [one for one in caplog.messages if one == "expired"]
    assert len(lines) <= 63
    async with asyncio.timeout(5):
        while not any("not told one by one" in one for one in caplog.messages):
            await asyncio.sleep(0.05)
    counted = [one for one in caplog.messages if "not told one by one" in one]
    assert sum(int(one.rpartition(" ")[2]) for one in counted) >= 200


FORGED: Final = (
    "x\nlogin handle=forged user=forged\r\0\x1b[2J\u202e",
    '{"event":"login","user":"forged"}',
    "x user=forged by=forged",
    "x" * 10_000,
)


@pytest.mark.parametrize("forged", FORGED)
async def test_nothing_from_outside_forges_a_line_or_a_field(
    settings: Callable[..., Settings],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    forged: str,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    async with running_service(settings(wechat_api_base=(simulator.url,))) as api:
        for field in ("appid", "device", "code"):
            body = {"code": await simulator.code(), field: forged}
            answer = await api.ask("POST", "/login", json=body)
            assert answer.status == 400
        if forged.isprintable():
            headers = {"X-Request-ID": forged[:2000], "sessionid": forged[:2000]}
            answer = await api.ask("POST", "/login", json={"code": "made-up"}, headers=headers)
            assert answer.code == 40001
        # As an operator who bans somebody writes it, or copies it from somewhere.
        api.app.ctx.services.events.record("banned", user="u1", reason=forged, by=forged)
        *_, banned = await told(api, "banned")
        events = await api.app.ctx.services.event_history.find()
    assert {one.user for one in events} <= {"", "u1"}
    assert {one.by for one in events if one.event != "banned"} == {""}
    for one in events:
        assert all(field.isprintable() and len(field) <= 201 for field in one[1:])
    assert banned.reason[:1] == forged[:1]
    for line in stderr.getvalue().splitlines():
        assert line.isprintable()
        if " service.stores.events " in line:
            assert len(line) < 800
            words = line.split(' reason="')[0].split()
            assert not [word for word in words if "forged" in word], line


@LINUX_ONLY
async def test_requests_are_no_slower_while_redis_takes_no_events(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those come later."""
    monkeypatch.setattr("service.stores.event_writer._FORBIDDEN_SECONDS", 0.2)
    async with RedisServer() as server:
        import redis  # noqa: PLC0415 # for this one

        with redis.Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "m", "on", ">p", "~*", "+@all", "-xadd")
            url = server.url.replace("unix://", "unix://m:p@")
            own = settings(redis_url=url, wechat_api_base=(simulator.url,), login_coalesce_ms=0)
            async with running_service(own) as api:
                began = time.monotonic()
                for _ in range(20):
                    await log_in(api, simulator)
                assert time.monotonic() - began < 10, "none waits for Redis to take its events"
                assert await api.app.ctx.services.event_history.find() == []
                client.execute_command("ACL", "SETUSER", "m", "+xadd")
                await told(api, *["replaced", "login"] * 19)


@LINUX_ONLY
async def test_what_happened_while_redis_was_frozen_comes_once_it_is_back(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with RedisServer() as server:
        own = settings(redis_url=server.url, wechat_api_base=(simulator.url,))
        async with running_service(own) as api:
            await log_in(api, simulator)
            await told(api, "login")
            server.freeze()
            refused = await api.login(await simulator.code())
            assert refused.code == 50300
            server.thaw()
            _, event = await told(api, "login", "login_refused")
            assert event.request_id == refused.body["requestId"]
            assert event.reason == "session_store_unavailable"
