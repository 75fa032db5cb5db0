"""What every store of login codes promises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.errors import LoginCodeInvalid, LoginCodeUsed
from service.models import CodeClaim, OpenedSession, PastLogin, SessionId
from service.stores import redis_login_codes
from tests.support.settings import APPID

if TYPE_CHECKING:
    from service.stores.redis_login_codes import RedisLoginCodes
    from tests.contracts.conftest import Stores

OPENED = OpenedSession(SessionId.new("H" * 22), 7200)


async def claim(codes: RedisLoginCodes, code: str = "0code", key: str | None = None) -> CodeClaim:
    won = await codes.claim(APPID, code, idempotency_key=key)
    assert isinstance(won, CodeClaim)
    return won


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


async def test_the_same_client_gets_the_same_answer(stores: Stores) -> None:
    codes = stores.codes()
    await codes.succeed(await claim(codes, key="k1"), OPENED)
    past = await codes.claim(APPID, "0code", idempotency_key="k1")
    assert past == PastLogin(OPENED.session_id.handle, OPENED.session_id.digest, 7200)


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
    monkeypatch.setattr(redis_login_codes, "_GRACE_SECONDS", 0.1)
    codes = stores.codes(wechat_timeout_ms=100)
    await claim(codes, key="k1")
    with pytest.raises(LoginCodeUsed):
        await codes.claim(APPID, "0code", idempotency_key="k1")


async def test_the_same_client_gets_the_same_refusal(stores: Stores) -> None:
    codes = stores.codes()
    await codes.fail(await claim(codes, key="k1"), LoginCodeInvalid())
    with pytest.raises(LoginCodeInvalid):
        await codes.claim(APPID, "0code", idempotency_key="k1")


async def test_an_answer_is_repeated_for_a_minute_only(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = stores.codes()
    await codes.succeed(await claim(codes, key="k1"), OPENED)
    monkeypatch.setattr(redis_login_codes, "REPLAY_MS", -1)
    with pytest.raises(LoginCodeUsed):
        await codes.claim(APPID, "0code", idempotency_key="k1")


async def test_a_code_that_wechat_has_not_seen_can_be_claimed_again(stores: Stores) -> None:
    codes = stores.codes()
    await codes.release(await claim(codes))
    await claim(codes)


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
