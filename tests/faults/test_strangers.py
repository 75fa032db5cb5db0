"""Strangers with invalid codes by the hundred: everybody else logs in as if they were not there."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from service.core.errors import LoginCodeInvalid, ServiceError
from service.core.login import LoginRequest
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from service.config.settings import Settings
    from service.core.login import Login
    from tests.support.running import Simulator

SECONDS: Final = 2.0
HONEST: Final = 8

_numbers = itertools.count()


@asynccontextmanager
async def serving(
    settings: Callable[..., Settings], simulator: Simulator, **overrides: object
) -> AsyncIterator[Login]:
    """The service's logins, asked in its own process, where an address can be anybody's."""
    await simulator.fault("latency", median_ms=40, tail_ms=60)
    configured = settings(wechat_api_base=(simulator.url,), wechat_concurrency=32, **overrides)
    async with running_service(configured) as api:
        yield api.app.ctx.services.login


async def log_in(login: Login, code: str, address: str | None) -> str:
    """What became of it."""
    try:
        await login.log_in(LoginRequest(code=code, address=address))
    except ServiceError as error:
        return error.error
    return "ok"


async def strangers(login: Login, addresses: Sequence[str | None], seen: Counter[str]) -> None:
    """One for each address given, who tries one invalid code after the other."""

    async def keep_trying(address: str | None) -> None:
        while True:
            seen[await log_in(login, f"0wrong{next(_numbers)}", address)] += 1

    await asyncio.gather(*(keep_trying(address) for address in addresses))


async def honest(login: Login, simulator: Simulator, number: int) -> list[tuple[str, float]]:
    """Somebody at an address of their own who logs in a few times; what it came to, and took."""
    outcomes = []
    over = time.monotonic() + SECONDS
    while time.monotonic() < over:
        code = await simulator.code(f"user-{number}")
        began = time.monotonic()
        outcome = await log_in(login, code, f"198.51.100.{number}")
        outcomes.append((outcome, time.monotonic() - began))
        await asyncio.sleep(0.05)
    return outcomes


async def meeting(
    login: Login, simulator: Simulator, addresses: Sequence[str | None]
) -> tuple[Counter[str], Counter[str], float]:
    """What strangers and honest users were answered, and the longest that the latter waited."""
    refused: Counter[str] = Counter()
    flood = asyncio.create_task(strangers(login, addresses, refused))
    await asyncio.sleep(0.3)
    found = await asyncio.gather(*(honest(login, simulator, number) for number in range(HONEST)))
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    outcomes = [outcome for one in found for outcome in one]
    return refused, Counter(name for name, _ in outcomes), max(took for _, took in outcomes)


@pytest.mark.parametrize(
    "addresses",
    [["203.0.113.7"] * 200, [f"203.0.113.{number % 40}" for number in range(200)]],
    ids=["one", "forty"],
)
async def test_honest_users_are_served_while_strangers_guess(
    settings: Callable[..., Settings], simulator: Simulator, addresses: list[str | None]
) -> None:
    async with serving(settings, simulator) as login:
        refused, served, longest = await meeting(login, simulator, addresses)
    print(refused, served, f"longest {longest:.2f} s")  # noqa: T201 # figures
    assert set(served) == {"ok"}
    assert served["ok"] >= HONEST
    assert set(refused) <= {LoginCodeInvalid.error, "rate_limited", "wechat_busy"}
    assert refused[LoginCodeInvalid.error] > 0


async def test_an_address_brings_few_invalid_codes_to_wechat(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with serving(settings, simulator) as login:
        await meeting(login, simulator, ["203.0.113.7"] * 200)
        stats = await simulator.stats()
    # A share of 8 places, each kept a second for a wrong code, in 2.3 s.
    assert stats["calls"]["/sns/jscode2session"]["errcodes"]["40029"] <= 8 * 3


async def test_a_code_that_got_no_place_is_good_afterwards(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    async with serving(settings, simulator) as login:
        await simulator.heal()
        await simulator.fault("hang")
        code = await simulator.code()
        hanging = [
            asyncio.create_task(log_in(login, f"0wrong{n}", "203.0.113.7")) for n in range(8)
        ]
        await asyncio.sleep(0.1)
        assert await log_in(login, code, "203.0.113.7") == "rate_limited"
        await simulator.heal()
        assert await log_in(login, code, "203.0.113.8") == "ok"
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
