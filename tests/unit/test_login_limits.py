"""Logins over a limit: they are refused, and not at once, but for most of a crowd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from service.core import login_limits
from service.core.errors import RateLimited
from service.core.login_limits import LoginLimits

if TYPE_CHECKING:
    import pytest


class Full:
    """Limits that allow nothing more."""

    async def count_all(self, _uses: object, **_more: object) -> None:
        raise RateLimited("login_per_address", retry_after=9)


async def test_of_a_crowd_that_is_refused_only_so_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login_limits, "_REFUSAL_SECONDS", 60)
    full: Any = Full()
    limits = LoginLimits(full, most_held=16)
    someone: Any = type("Request", (), {"address": "203.0.113.7"})

    logins = [asyncio.create_task(limits.count(someone)) for _ in range(100)]
    refused, held = await asyncio.wait(logins, timeout=1)
    assert (len(refused), len(held)) == (84, 16)
    assert all(isinstance(one.exception(), RateLimited) for one in refused)
    for one in held:
        one.cancel()
    await asyncio.wait(held)

    again = asyncio.create_task(limits.count(someone))
    assert not (await asyncio.wait([again], timeout=0.05))[0], "one that has gone leaves its place"
    again.cancel()
    await asyncio.wait([again])
