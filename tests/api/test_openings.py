"""How often encryptedData may fail to open, and how often it may change something."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import time
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.core import decrypt
from service.core.errors import SessionStoreUnavailable
from service.core.models import WeChatIdentity
from service.simulator.crypto import encrypt
from service.wechat import client
from tests.support.running import running_service, running_simulator
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

NUMBER: Final = "13800000001"
PER_HOUR: Final = 30


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> dict[str, str]:
    login = await api.login(await simulator.code(user))
    return {"sessionid": login.data["sessionid"]}


def pair(sealed: dict[str, str]) -> dict[str, str]:
    return {name: sealed[name] for name in ("encryptedData", "iv")}


def junk() -> dict[str, str]:
    """A question of somebody who forges."""
    blocks = base64.b64encode(secrets.token_bytes(160)).decode()
    return {"encryptedData": blocks, "iv": base64.b64encode(secrets.token_bytes(16)).decode()}


async def ask(api: Api, session: dict[str, str], body: dict[str, str]) -> Answer:
    return await api.ask("POST", "/decrypt", json=body, headers=session)


async def bind(api: Api, session: dict[str, str], body: dict[str, str]) -> Answer:
    return await api.ask("PUT", "/me/phone", json=body, headers=session)


@asynccontextmanager
async def two_workers(
    settings: Callable[..., Settings], simulator: Simulator, **overrides: object
) -> AsyncIterator[tuple[Api, Api]]:
    """Which share a Redis and a database, and no memory to count in."""
    values = {"wechat_api_base": (simulator.url,), **overrides}
    async with (
        running_service(settings(**values)) as one,
        running_service(settings(**values)) as other,
    ):
        yield one, other


async def test_of_200_questions_at_two_workers_30_are_answered(
    settings: Callable[..., Settings], simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two_workers(settings, simulator) as workers:
        session = await log_in(workers[0], simulator)
        bob = await log_in(workers[0], simulator, "bob")
        asked = [(ask, bind)[i // 2 % 2](workers[i % 2], session, junk()) for i in range(200)]
        answers = await asyncio.gather(*asked)
        assert Counter((one.status, one.code) for one in answers) == {
            (400, 40005): PER_HOUR,
            (429, 42900): 200 - PER_HOUR,
        }
        refused = next(one for one in answers if one.status == 429)
        assert refused.data == {"limit": "failed_decrypt_per_session"}
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        # Nor is anything opened for them that would open; and nobody else notices.
        assert (await ask(workers[0], session, await simulator.phone())).status == 429
        assert (await ask(workers[0], bob, await simulator.phone("bob"))).status == 200
        assert (await workers[1].session(session["sessionid"])).status == 200
    warned = [line for line in capsys.readouterr().err.splitlines() if " decrypt: " in line]
    handle = session["sessionid"].partition(".")[0]
    event = f"decrypt: too many failures: failed_decrypt_per_session handle={handle}"
    assert len(warned) == 2  # one of each worker
    assert all(" WARNING " in line and event in line for line in warned)


async def test_questions_at_the_login_count_as_the_sessions(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with two_workers(settings, simulator, login_coalesce_ms=0) as workers:
        session = await log_in(workers[0], simulator)
        for i in range(10):
            assert (await ask(workers[i % 2], session, junk())).code == 40005
        codes = [await simulator.code() for _ in range(40)]
        logins = await asyncio.gather(
            *(workers[i % 2].login(code, **junk()) for i, code in enumerate(codes))
        )
        assert Counter(one.code for one in logins) == {40005: PER_HOUR - 10, 42900: 20}
        refused = next(one for one in logins if one.status == 429)
        assert refused.data == {"limit": "failed_decrypt_per_session", "retry": "new_code"}
        # Without a profile they log in as ever.
        assert (await workers[0].login(await simulator.code())).status == 200


async def test_another_device_gives_a_user_no_more_questions(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    devices = ("phone", "pc")
    async with two_workers(settings, simulator, device_classes=devices) as workers:
        sessions = []
        for device in devices:
            login = await workers[0].login(await simulator.code(), device=device)
            sessions.append({"sessionid": login.data["sessionid"]})
        answers = await asyncio.gather(
            *(ask(workers[i % 2], sessions[i // 2 % 2], junk()) for i in range(100))
        )
        assert Counter(one.code for one in answers) == {40005: PER_HOUR, 42900: 100 - PER_HOUR}
        assert "failed_decrypt_per_user" in {(one.data or {}).get("limit") for one in answers}


async def test_what_opens_is_not_counted_as_failed_and_each_time_as_opened(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, counted = api.app.ctx.services.limits, []
    genuine = limits.count

    async def count(limit: str, who: str, **how: int) -> None:
        counted.append((limit, who))
        await genuine(limit, who, **how)

    monkeypatch.setattr(limits, "count", count)
    session = await log_in(api, simulator)
    for _ in range(2 * PER_HOUR):
        assert (await ask(api, session, await simulator.phone())).status == 200
    await bind(api, session, pair(await simulator.phone()))
    of_users = [who for limit, who in counted if limit == "decrypt_per_user"]
    assert len(of_users) == 2 * PER_HOUR + 1
    assert len(set(of_users)) == 1


async def test_with_nothing_to_count_in_nothing_is_opened(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, phone = await log_in(api, simulator), await simulator.phone()

    async def away(*_: object, **__: object) -> None:
        raise SessionStoreUnavailable

    monkeypatch.setattr(api.app.ctx.services.limits, "count", away)
    for answer in (await ask(api, session, phone), await bind(api, session, pair(phone))):
        assert (answer.status, answer.code) == (503, 50300)


async def test_a_lost_answer_is_given_again_and_a_former_number_does_not_come_back(
    api: Api, simulator: Simulator
) -> None:
    session = await log_in(api, simulator)
    first = pair(await simulator.phone(phone=NUMBER))
    answers = await asyncio.gather(*(bind(api, session, first) for _ in range(10)))
    answers.append(await bind(api, session, first))
    assert {(one.status, one.data["phone"]) for one in answers} == {(200, f"+86 {NUMBER}")}
    second = pair(await simulator.phone(phone="13800000002"))
    assert (await bind(api, session, second)).data["phone"] == "+86 13800000002"
    again = await bind(api, session, first)
    assert (again.status, again.code, again.data) == (400, 40005, {"relogin": False})
    assert (await ask(api, session, first)).status == 200  # which changes nothing
    me = await api.ask("GET", "/me", headers=session)
    assert me.data["phone"] == "+86 13800000002"


async def test_who_deletes_their_account_has_used_it_all_the_same(
    settings: Callable[..., Settings],
) -> None:
    async with one_key(settings) as (api, simulator):
        await log_in(api, simulator)
        profile = pair(await simulator.profile(nickName="小明", openid=True))
        login = await api.login(await simulator.code(), **profile)
        assert login.data["user"]["nickname"] == "小明"
        session, number = {"sessionid": login.data["sessionid"]}, await simulator.phone()
        assert (await bind(api, session, pair(number))).status == 200
        await api.ask("DELETE", "/me", headers=session)
        again = await api.login(await simulator.code(), **profile)
        assert again.data["isNewUser"]
        assert again.data["user"]["nickname"].startswith("用户")
        session = {"sessionid": again.data["sessionid"]}
        refused = await bind(api, session, pair(number))
        assert (refused.status, refused.code, refused.data) == (400, 40005, {"relogin": False})


async def test_what_was_not_bound_is_not_used(api: Api, simulator: Simulator) -> None:
    bob = await log_in(api, simulator, "bob")
    await bind(api, bob, pair(await simulator.phone("bob", phone=NUMBER)))
    session, data = await log_in(api, simulator), pair(await simulator.phone(phone=NUMBER))
    for _ in range(2):
        taken = await bind(api, session, data)
        assert (taken.status, taken.code) == (409, 40900)
    await api.ask("DELETE", "/me", headers=bob)
    assert (await bind(api, session, data)).data["phone"] == f"+86 {NUMBER}"


async def test_a_phone_number_of_five_minutes_ago_is_too_old_to_bind(
    api: Api,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    session, data = await log_in(api, simulator), pair(await simulator.phone(phone=NUMBER))

    def later(seconds: int) -> None:
        clock = SimpleNamespace(time=lambda: time.time() + seconds)
        monkeypatch.setattr(decrypt, "time", clock)

    later(302)
    old = await bind(api, session, data)
    assert (old.status, old.code, old.data) == (400, 40005, {"relogin": False})
    assert "decrypt failed: too_old" in caplog.text
    assert (await ask(api, session, data)).status == 200
    later(290)
    assert (await bind(api, session, data)).status == 200


@asynccontextmanager
async def one_key(
    settings: Callable[..., Settings],
) -> AsyncIterator[tuple[Api, Simulator]]:
    """Logins in a row have one session_key, as WeChat gives it within some time."""
    async with (
        running_simulator(session_key_interval_seconds=3600) as simulator,
        running_service(settings(wechat_api_base=(simulator.url,), login_coalesce_ms=0)) as api,
    ):
        yield api, simulator


async def test_a_profile_names_a_user_once(settings: Callable[..., Settings]) -> None:
    async with one_key(settings) as (api, simulator):
        await log_in(api, simulator)
        profile = pair(await simulator.profile(nickName="小明", openid=True))
        login = await api.login(await simulator.code(), **profile)
        assert login.data["user"]["nickname"] == "小明"
        session = {"sessionid": login.data["sessionid"]}
        await api.ask("PUT", "/me", json={"nickname": "小红"}, headers=session)
        again = await api.login(await simulator.code(), **profile)
        assert (again.status, again.data["user"]["nickname"]) == (200, "小红")


async def test_a_profile_that_does_not_say_whose_it_is_names_nobody(
    settings: Callable[..., Settings],
) -> None:
    """As getUserProfile's are, which call everybody the same by now: the login goes on."""
    async with one_key(settings) as (api, simulator):
        await log_in(api, simulator)
        login = await api.login(await simulator.code(), **await simulator.profile(nickName="小明"))
        assert login.status == 200
        assert login.data["user"]["nickname"].startswith("用户")


def with_first_letter(letter: int, sealed: dict[str, str], before: str) -> dict[str, str]:
    """The same data with another byte behind `before`: the iv changes the first block."""
    iv = bytearray(base64.b64decode(sealed["iv"]))
    iv[len(before)] ^= ord("A") ^ letter
    return {"encryptedData": sealed["encryptedData"], "iv": base64.b64encode(iv).decode()}


@pytest.mark.parametrize("letter", [0x14, 0x07, 0x09, 0xFF, 0xD6, ord('"')])
@pytest.mark.bar("K11")
async def test_whoever_has_a_name_that_is_no_text_gets_in(
    settings: Callable[..., Settings], letter: int
) -> None:
    async with one_key(settings) as (api, simulator):
        session = await log_in(api, simulator)
        profile = await simulator.profile(nickName="Ada")
        odd = with_first_letter(letter, profile, '{"nickName":"')
        login = await api.login(await simulator.code(), **odd)
        assert login.status == 200
        session = {"sessionid": login.data["sessionid"]}
        shown = await ask(api, session, odd)
        if letter == ord('"'):
            assert (shown.status, shown.code, shown.data) == (400, 40005, {"relogin": False})
        else:
            assert shown.data["nickName"] == bytes([letter]).decode(errors="replace") + "da"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"A\x14da", "Ada"),
        (b"Ada\xff", "Ada"),
        (b"\xd6Ada", "Ada"),
        (b"Ada \\ud83d", "Ada"),
        (b"Ada \xed\xa0\xbd", "Ada"),
        (b"\xff\xfe\xfd\xfc", None),
        (b"\x07", None),
    ],
)
@pytest.mark.bar("K11")
async def test_what_is_text_of_such_a_name_is_the_nickname(
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    name: bytes,
    kept: str | None,
) -> None:
    identities: list[WeChatIdentity] = []
    genuine = client._identity

    def tell(answer: dict[str, Any]) -> WeChatIdentity:
        identities.append(genuine(answer))
        return identities[-1]

    monkeypatch.setattr(client, "_identity", tell)
    async with one_key(settings) as (api, simulator):
        await log_in(api, simulator)
        alice = identities[0]
        plain = b'{"openId":"%b","nickName":"%b","watermark":{"timestamp":%d,"appid":"%b"}}' % (
            alice.openid.encode(),
            name,
            time.time(),
            APPID.encode(),
        )
        key = base64.b64encode(alice.session_key).decode()
        with monkeypatch.context() as patched:
            patched.setattr("service.simulator.crypto.orjson.dumps", lambda _: plain)
            sealed = encrypt({}, session_key=key, iv=secrets.token_bytes(16))
        login = await api.login(await simulator.code(), **sealed)
        assert login.status == 200
        nickname = login.data["user"]["nickname"]
        assert nickname == kept if kept else nickname.startswith("用户")


async def test_a_phone_number_that_is_no_text_sends_nobody_to_log_in(
    api: Api, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session = await log_in(api, simulator)
    odd = with_first_letter(0xFF, await simulator.phone(), '{"phoneNumber"')
    refused = await bind(api, session, odd)
    assert (refused.status, refused.code, refused.data) == (400, 40005, {"relogin": False})
    assert "decrypt failed: unreadable" in caplog.text


async def test_a_raw_profile_that_lost_letters_on_its_way_is_not_checked(
    api: Api, simulator: Simulator
) -> None:
    profile = await simulator.profile(nickName="Ada")
    for raw, status in (("Ad", 400), ("Ad\ufffd", 200)):
        changed = {"rawData": profile["rawData"].replace("Ada", raw)}
        given = {"signature": profile["signature"], **changed}
        assert (await api.login(await simulator.code(), **given)).status == status


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (rb"Ad\ud83d", 200),
        (rb"Ad\ude00", 200),
        (rb"Ad\ud83d\ud83d\ude00", 200),
        (rb"\ud83d\ude00", 400),  # a whole one, which WeChat did not sign
        (rb"Ad\\ud83d", 400),
        (rb"Ad\x", 415),  # no JSON at all
    ],
)
async def test_half_an_emoji_in_a_body_is_what_was_lost(
    api: Api, simulator: Simulator, raw: bytes, status: int
) -> None:
    code = (await simulator.code()).encode()
    body = b'{"code":"%b","rawData":"%b","signature":"%b"}' % (code, raw, b"0" * 40)
    assert (await api.ask("POST", "/login", data=body)).status == status


async def test_a_unionid_in_a_profile_makes_nobody_somebody_else(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can forge a profile would be whoever they want."""
    unionid = "uVictim"
    identities: dict[str, WeChatIdentity] = {}
    genuine = client._identity

    def tell(answer: dict[str, Any]) -> WeChatIdentity:
        given = genuine(answer)
        found = WeChatIdentity(given.openid, given.session_key, None if identities else unionid)
        identities[given.openid] = found
        return found

    monkeypatch.setattr(client, "_identity", tell)
    async with one_key(settings) as (api, simulator):
        victim = await api.login(await simulator.code("victim"))
        await api.login(await simulator.code("mallory"))
        mallory = list(identities.values())[1]
        profile = {
            "openId": mallory.openid,
            "nickName": "x",
            "unionId": unionid,
            "watermark": {"timestamp": int(time.time()), "appid": APPID},
        }
        key = base64.b64encode(mallory.session_key).decode()
        forged = encrypt(profile, session_key=key, iv=secrets.token_bytes(16))
        # A stranger to the service, so that nothing but the unionid says who they are.
        session = await log_in(api, simulator, "mallory")
        await api.ask("DELETE", "/me", headers=session)
        login = await api.login(await simulator.code("mallory"), **forged)
        assert (login.status, login.data["isNewUser"]) == (200, True)
        assert login.data["user"]["id"] != victim.data["user"]["id"]
        assert login.data["user"]["nickname"] == "x"
