"""What every store of login codes promises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.core.errors import (
    IdempotencyKeyReused,
    LoginCodeInvalid,
    LoginCodeUsed,
    PhoneCodeInvalid,
    PhoneTaken,
    WeChatUserBlocked,
)
from service.core.models import CodeClaim, LoggedIn, PastLogin, Phone, SessionId, User
from service.stores import code_markers, login_codes
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND
from tests.support.keys import code_key
from tests.support.settings import APPID

if TYPE_CHECKING:
    from service.core.errors import ServiceError
    from service.stores.login_codes import RedisLoginCodes
    from service.stores.phone_codes import RedisPhoneCodes
    from tests.contracts.conftest import Stores

ALICE = User("someone", "Alice", "/uploads/a.jpg", None, ban=None, created_at=1, updated_at=1)
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


@ALSO_FAKEREDIS
@pytest.mark.parametrize("key", [None, "k1"])
async def test_that_wechat_knows_no_such_code_is_told_to_all_for_half_a_minute(
    stores: Stores, key: str | None
) -> None:
    codes = stores.codes()
    await codes.fail(await claim(codes, key=key), LoginCodeInvalid())
    for asks in (None, "k1", "k2"):
        with pytest.raises(LoginCodeInvalid) as told:
            await codes.claim(APPID, "0code", idempotency_key=asks)
        assert told.value.data == {"retry": "new_code"}
    (marker,) = await stores.everything()
    assert 29_000 < await stores.redis.pttl(marker) <= 30_000
    await stores.redis.delete(marker)  # as if they were over
    await claim(codes)


@pytest.mark.bar("H2")
@pytest.mark.parametrize("refusal", [LoginCodeUsed(), WeChatUserBlocked()])
async def test_a_code_that_wechat_does_know_is_marked_while_it_lives(
    stores: Stores, refusal: ServiceError
) -> None:
    codes = stores.codes()
    await codes.fail(await claim(codes, key="k1"), refusal)
    (marker,) = await stores.everything()
    assert 299_000 < await stores.redis.pttl(marker) <= 300_000


@ONE_KIND
@pytest.mark.parametrize("key", [None, "k"])
async def test_made_up_codes_take_less_than_three_megabytes_at_600_a_second(
    stores: Stores, key: str | None
) -> None:
    """That is 18,000 in half a minute; here a quarter, for which Redis has as full a table."""
    codes = stores.codes()

    async def refused(number: int) -> None:
        won = await claim(codes, f"made up {number}", key)
        await codes.fail(won, LoginCodeInvalid())

    async def used() -> int:
        return int((await stores.redis.info("memory"))["used_memory"])

    await asyncio.gather(*(refused(number) for number in range(100)))
    await stores.redis.flushall()
    before = await used()
    for first in range(0, 4500, 100):
        await asyncio.gather(*(refused(number) for number in range(first, first + 100)))
    each = (await used() - before) / 4500
    await refused(-1)
    seconds = await stores.redis.pttl(code_key("login", APPID, "made up -1")) / 1000
    print(f"{each:.0f} bytes a marker, for {seconds:.0f} s")  # noqa: T201 # figures to keep
    assert each * 600 * seconds < 3 * 2**20


async def test_a_repeat_is_known_by_its_request_and_by_its_key(stores: Stores) -> None:
    codes = stores.codes()
    won = await codes.claim(APPID, "0code", idempotency_key="k1", request="this")
    assert isinstance(won, CodeClaim)
    with pytest.raises(IdempotencyKeyReused):  # it does not wait for the other one's answer
        await codes.claim(APPID, "0code", idempotency_key="k1", request="that")
    await codes.succeed(won, OPENED)
    again = await codes.claim(APPID, "0code", idempotency_key="k1", request="this")
    assert isinstance(again, PastLogin)
    with pytest.raises(IdempotencyKeyReused):
        await codes.claim(APPID, "0code", idempotency_key="k1", request="that")
    with pytest.raises(LoginCodeUsed):  # what was asked for is no business of another client's
        await codes.claim(APPID, "0code", idempotency_key="k2", request="this")


@ALSO_FAKEREDIS
async def test_a_key_stands_for_one_request_of_each_user(stores: Stores) -> None:
    codes = stores.codes()

    async def claim_key(code: str, request: str, who: tuple[str, str], key: str = "k1") -> None:
        won = await codes.claim(who[0], code, idempotency_key=key, request=request)
        assert isinstance(won, CodeClaim)
        await codes.claim_key(won, *who)
        await codes.release(won)

    alice = (APPID, "oAlice")
    await claim_key("0one", "this", alice)
    await claim_key("0one", "this", alice)
    for who in ((APPID, "oBob"), ("wxother", "oAlice")):
        await claim_key("0two", "that", who)
    await claim_key("0two", "that", alice, key="k2")
    with pytest.raises(IdempotencyKeyReused):
        await claim_key("0two", "that", alice)


async def test_of_many_requests_at_once_under_one_key_one_has_it(stores: Stores) -> None:
    workers = [stores.codes() for _ in range(3)]
    claims = [
        await workers[i % 3].claim(APPID, f"0{i}", idempotency_key="k1", request=f"r{i}")
        for i in range(30)
    ]
    results = await asyncio.gather(
        *(
            workers[i % 3].claim_key(won, APPID, "oAlice")
            for i, won in enumerate(claims)
            if isinstance(won, CodeClaim)
        ),
        return_exceptions=True,
    )
    assert [one for one in results if one is None] == [None]
    assert sum(isinstance(one, IdempotencyKeyReused) for one in results) == 29


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


async def test_a_phone_code_that_is_given_back_is_free_for_everybody(stores: Stores) -> None:
    codes = stores.phone_codes()
    for openid in ("oMallory", "oAlice"):
        claim = await codes.claim(APPID, "phonecode", openid=openid)
        assert isinstance(claim, CodeClaim)
        await codes.release(claim)


async def test_login_codes_and_phone_codes_do_not_get_in_each_others_way(stores: Stores) -> None:
    await claim_phone(stores.phone_codes())
    assert isinstance(
        await stores.codes().claim(APPID, "phonecode", idempotency_key=None), CodeClaim
    )
