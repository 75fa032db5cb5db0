"""What every store of used encryptedData promises."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Final

import pytest

from service.core.errors import PhoneTaken, SessionStoreUnavailable
from service.core.models import Encrypted
from service.stores import used_data
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND

if TYPE_CHECKING:
    from service.stores.used_data import RedisUsedData
    from tests.contracts.conftest import Stores

CIPHERTEXT: Final = bytes(range(200, 232))
DATA: Final = Encrypted(base64.b64encode(CIPHERTEXT).decode(), "iv")


async def use(used: RedisUsedData, data: Encrypted = DATA, user: str = "alice") -> bool:
    async with used.use(user, data) as is_first:
        return is_first


@ALSO_FAKEREDIS
async def test_data_is_used_once_whichever_worker_it_reaches(stores: Stores) -> None:
    workers = [stores.used() for _ in range(3)]
    uses = await asyncio.gather(*(use(workers[i % 3]) for i in range(30)))
    assert sorted(uses) == [False] * 29 + [True]
    assert not await use(workers[0])


@ALSO_FAKEREDIS
async def test_another_iv_and_another_spelling_make_no_other_data(stores: Stores) -> None:
    used = stores.used()
    assert await use(used)
    spelt = DATA.data[:-2] + chr(ord(DATA.data[-2]) + 1) + "="  # its last bits mean nothing
    assert base64.b64decode(spelt) == CIPHERTEXT
    for same in (
        Encrypted(DATA.data, "another"),
        Encrypted(DATA.data.replace("+", " "), "iv"),
        Encrypted(spelt, "iv"),
    ):
        assert not await use(used, same)


async def test_other_data_and_other_users_are_free(stores: Stores) -> None:
    used = stores.used()
    assert await use(used)
    assert await use(used, user="bob")
    assert await use(used, Encrypted(base64.b64encode(CIPHERTEXT[16:]).decode(), "iv"))


@ALSO_FAKEREDIS
async def test_a_use_that_failed_is_none(stores: Stores) -> None:
    used = stores.used()
    for error in (PhoneTaken(owner="bob"), RuntimeError()):
        with pytest.raises(type(error)):  # noqa: PT012 # the block is what fails
            async with used.use("alice", DATA) as is_first:
                assert is_first
                raise error
    assert await use(used)


async def test_a_use_under_way_is_waited_for(stores: Stores) -> None:
    used = stores.used()
    async with used.use("alice", DATA) as is_first:
        assert is_first
        second = asyncio.create_task(use(stores.used()))
        await asyncio.sleep(0.15)
        assert not second.done()
    assert await second is False


@pytest.mark.parametrize("marker", [None, b"", b"of something else", b"{}"])
@ONE_KIND
async def test_one_that_does_not_end_counts(
    stores: Stores, marker: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(used_data, "_PATIENCE_SECONDS", 0.1)
    used = stores.used()
    async with used.use("alice", DATA):
        if marker is not None:
            (key,) = await stores.everything()
            await stores.redis.set(key, marker)
        assert not await use(used)


@ONE_KIND
async def test_a_marker_lives_as_long_as_the_data_is_taken_and_tells_nothing(
    stores: Stores,
) -> None:
    used = stores.used(max_age=1000)
    async with used.use("alice", DATA):
        (key,) = await stores.everything()
        assert 1_299_000 < await stores.redis.pttl(key) <= 1_300_000
    assert 1_299_000 < await stores.redis.pttl(key) <= 1_300_000
    assert await stores.everything() == {key: b"used"}
    assert key.startswith(b"minigate:used:")
    assert len(key) == len(b"minigate:used:") + 22


@ONE_KIND
async def test_without_redis_nothing_is_used(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = stores.used()

    async def away(*_: object) -> object:
        raise SessionStoreUnavailable

    monkeypatch.setattr(used._scripts, "run_idempotent", away)
    with pytest.raises(SessionStoreUnavailable):
        await use(used)
