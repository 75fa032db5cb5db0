"""Of what does not open, so much is answered and no more; what opens is not counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.core.errors import RateLimited, SessionStoreUnavailable
from service.core.failed_openings import FailedOpenings
from service.core.throttled_log import ThrottledLog
from tests.support.limits import MemoryLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.core.ports import LimitName


class Shut(Exception):
    """It did not open."""


def openings(limits: MemoryLimits) -> FailedOpenings:
    return FailedOpenings(limits, ThrottledLog("decrypt"))


async def fail(failures: FailedOpenings, *, handle: str = "h", user: str = "u") -> str:
    try:
        async with failures.attempt(handle=handle, user=user):
            await asyncio.sleep(0)
            raise Shut
    except Shut:
        return "answered"
    except RateLimited as error:
        return str((error.data or {})["limit"])


async def test_of_many_at_once_exactly_so_many_are_answered() -> None:
    failures = openings(MemoryLimits(failed_decrypt_per_session=30, failed_decrypt_per_user=10**6))
    seen = await asyncio.gather(*(fail(failures) for _ in range(200)))
    assert seen.count("answered") == 30
    assert seen.count("failed_decrypt_per_session") == 170


async def test_a_user_with_many_sessions_has_no_more() -> None:
    limits = MemoryLimits(failed_decrypt_per_session=30, failed_decrypt_per_user=40)
    failures = openings(limits)
    seen = await asyncio.gather(*(fail(failures, handle=f"h{i % 4}") for i in range(200)))
    assert seen.count("answered") == 40
    counted = [count for (limit, _), count in limits.used.items() if limit.endswith("session")]
    assert sum(counted) == 40  # what the other limit refused is given back
    assert await fail(failures, handle="another's", user="another") == "answered"


async def test_what_opens_is_not_counted() -> None:
    limits = MemoryLimits(failed_decrypt_per_session=1, failed_decrypt_per_user=1)
    failures = openings(limits)
    for _ in range(100):
        async with failures.attempt(handle="h", user="u"):
            pass
    assert await fail(failures) == "answered"
    assert await fail(failures) == "failed_decrypt_per_session"


async def test_a_limit_that_is_hit_is_told_once_by_whose_session_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = openings(MemoryLimits(failed_decrypt_per_session=1))
    for _ in range(10):
        await fail(failures, handle="H" * 22)
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("WARNING", f"decrypt: too many failures: failed_decrypt_per_session handle={'H' * 22}")
    ]


async def test_without_redis_nothing_is_opened_and_what_has_opened_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = MemoryLimits()
    failures = openings(limits)

    async def away(_limit: LimitName, _who: str, *, cost: int = 1) -> None:
        del cost
        raise SessionStoreUnavailable

    asked: Callable[..., Awaitable[None]] = away
    async with failures.attempt(handle="h", user="u"):
        monkeypatch.setattr(limits, "add", asked)
    monkeypatch.setattr(limits, "count", asked)
    with pytest.raises(SessionStoreUnavailable):
        async with failures.attempt(handle="h", user="u"):
            pytest.fail("opened")
