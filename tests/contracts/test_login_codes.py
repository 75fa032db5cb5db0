"""What every store of login codes promises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.core.errors import (
    LoginCodeInvalid,
    LoginCodeUsed,
    PhoneCodeInvalid,
    PhoneTaken,
)
from service.core.models import CodeClaim, LoggedIn, PastLogin, Phone, SessionId, User
from service.stores import code_markers, login_codes
from tests.contracts.kinds import ALSO_FAKEREDIS
from tests.support.settings import APPID

if TYPE_CHECKING:
    from service.stores.login_codes import RedisLoginCodes
    from service.stores.phone_codes import RedisPhoneCodes
    from tests.contracts.conftest import Stores

ALICE = User("someone", "Alice", "/uploads/a.jpg", None, banned=False, created_at=1, updated_at=1)
OPENED = LoggedIn(SessionId.new("H" * 22), 7200, ALICE, is_new=True)


async def claim(codes: RedisLoginCodes, code: str = "0code", key: str | None = None) -> CodeClaim:
    won = await codes.claim(APPID, code, idempotency_key=key)
    assert isinstance(won, CodeClaim)
    return won


@ALSO_FAKEREDIS
async def test_of_many_claims_at_once_one_wins(stores: Stores) -> None:
    workers = [stores.codes() for _ in range(3)]
    results = await asyncio.gather(
        *(workers[i % 3].claim(APPID, "0code", idempotency_key=None) for i in range(30)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, CodeClaim) for one in results) == 1
    assert sum(isinstance(one, LoginCodeUsed) for one in results) == 29


async def test_other_codes_and_other_apps_are_free(stores: Stores) -> None:
    codes = stores.codes()
    await claim(codes)
    await claim(codes, "0other")
    assert isinstance(await codes.claim("wxother", "0code", idempotency_key=None), CodeClaim)


@ALSO_FAKEREDIS
async def test_the_same_client_gets_the_same_answer(stores: Stores) -> None:
    codes = stores.codes()
    await codes.succeed(await claim(codes, key="k1"), OPENED)
    past = await codes.claim(APPID, "0code", idempotency_key="k1")
    assert past == PastLogin(
        OPENED.session_id.handle, OPENED.session_id.digest, 7200, "someone", is_new=True
    )


@pytest.mark.parametrize("key", [None, "k2"])
async def test_another_client_is_told_that_the_code_is_used(
    stores: Stores, key: str | None
) -> None:
    codes = stores.codes()
    await codes.succeed(await claim(codes, key="k1"), OPENED)
    with pytest.raises(LoginCodeUsed):
        await codes.claim(APPID, "0code", idempotency_key=key)


async def test_the_same_client_waits_for_the_exchange_under_way(stores: Stores) -> None:
    first, second = stores.codes(), stores.codes()
    won = await claim(first, key="k1")
    waiting = asyncio.create_task(second.claim(APPID, "0code", idempotency_key="k1"))
    _, still_waiting = await asyncio.wait([waiting], timeout=0.1)
    assert still_waiting
    await first.succeed(won, OPENED)
    assert isinstance(await waiting, PastLogin)


async def test_waiting_for_an_exchange_that_died_ends(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_markers, "_GRACE_SECONDS", 0.1)
    codes = stores.codes(wechat_timeout_ms=100)
    await claim(codes, key="k1")
    with pytest.raises(LoginCodeUsed):
        await codes.claim(APPID, "0code", idempotency_key="k1")


async def test_the_same_client_gets_the_same_refusal(stores: Stores) -> None:
    codes = stores.codes()
    await codes.fail(await claim(codes, key="k1"), LoginCodeInvalid())
    with pytest.raises(LoginCodeInvalid):
        await codes.claim(APPID, "0code", idempotency_key="k1")


async def test_a_refusal_is_repeated_with_what_it_said(stores: Stores) -> None:
    codes = stores.codes()
    refusal = PhoneTaken(owner="somebody else")
    refusal.data, refusal.retry_after = {"hint": "h"}, 7
    await codes.fail(await claim(codes, key="k1"), refusal)
    with pytest.raises(PhoneTaken) as again:
        await codes.claim(APPID, "0code", idempotency_key="k1")
    assert (again.value.data, again.value.retry_after) == ({"hint": "h"}, 7)


async def test_an_answer_is_repeated_for_a_minute_only(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = stores.codes()
    await codes.succeed(await claim(codes, key="k1"), OPENED)
    monkeypatch.setattr(login_codes, "REPLAY_MS", -1)
    with pytest.raises(LoginCodeUsed):
        await codes.claim(APPID, "0code", idempotency_key="k1")


@ALSO_FAKEREDIS
async def test_a_code_that_wechat_has_not_seen_can_be_claimed_again(stores: Stores) -> None:
    codes = stores.codes()
    await codes.release(await claim(codes))
    await claim(codes)


async def test_giving_a_code_back_twice_takes_it_from_nobody_who_has_won_it_since(
    stores: Stores,
) -> None:
    """As when the reply to the first time is lost, and the driver sends it again."""
    codes = stores.codes()
    first = await claim(codes)
    await codes.release(first)
    await claim(codes)
    await codes.release(first)
    with pytest.raises(LoginCodeUsed):
        await codes.claim(APPID, "0code", idempotency_key=None)


@ALSO_FAKEREDIS
async def test_a_marker_lives_five_minutes_and_shows_neither_code_nor_key(stores: Stores) -> None:
    codes = stores.codes()
    won = await claim(codes, "0secretcode", "client-nonce")
    await codes.succeed(won, OPENED)
    (marker,) = await stores.everything()
    assert 299_000 < await stores.redis.pttl(marker) <= 300_000
    dump = str(await stores.everything())
    assert "0secretcode" not in dump
    assert "client-nonce" not in dump
    assert OPENED.session_id.secret not in dump


PHONE = Phone("+86 13800000001")


async def claim_phone(codes: RedisPhoneCodes, openid: str = "oAlice") -> CodeClaim:
    won = await codes.claim(APPID, "phonecode", openid=openid)
    assert isinstance(won, CodeClaim)
    return won


async def test_a_phone_code_is_answered_from_memory_to_its_user_only(stores: Stores) -> None:
    codes = stores.phone_codes()
    await codes.succeed(await claim_phone(codes), PHONE)
    assert await codes.claim(APPID, "phonecode", openid="oAlice") == PHONE
    with pytest.raises(PhoneCodeInvalid):
        await codes.claim(APPID, "phonecode", openid="oMallory")
    assert "13800000001" not in str(await stores.everything())


async def test_a_phone_code_under_way_is_waited_for(stores: Stores) -> None:
    codes = stores.phone_codes()
    won = await claim_phone(codes)
    waiting = asyncio.create_task(codes.claim(APPID, "phonecode", openid="oAlice"))
    _, still_waiting = await asyncio.wait([waiting], timeout=0.1)
    assert still_waiting
    await codes.succeed(won, PHONE)
    assert await waiting == PHONE


async def test_a_refused_phone_code_stays_refused_and_a_released_one_is_free(
    stores: Stores,
) -> None:
    codes = stores.phone_codes()
    await codes.release(await claim_phone(codes))
    await codes.fail(await claim_phone(codes))
    with pytest.raises(PhoneCodeInvalid):
        await codes.claim(APPID, "phonecode", openid="oAlice")


async def test_login_codes_and_phone_codes_do_not_get_in_each_others_way(stores: Stores) -> None:
    await claim_phone(stores.phone_codes())
    assert isinstance(
        await stores.codes().claim(APPID, "phonecode", idempotency_key=None), CodeClaim
    )
