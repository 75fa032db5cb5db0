"""How many logins there may be, of one address, of a mini-program and in all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from service.core.errors import RateLimited, ServiceError, SessionStoreUnavailable

if TYPE_CHECKING:
    from service.core.login_request import LoginRequest
    from service.core.models import WeChatApp
    from service.core.ports import LimitName, Limits

_REFUSAL_SECONDS: Final = 0.5
"""After so long a login over a limit is refused."""
_MADE_UP_STATUS: Final = 400
"""Whoever is banned or has somebody else's number gets another one: they are known to WeChat."""
_FAILURE_WEIGHT: Final = 10
"""What a login counts that fails by what the client sent."""


class LoginLimits:
    """Counts logins; one whose client's address is not known counts towards none of an address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def count(self, request: LoginRequest) -> None:
        """Count a login of its address; raises RateLimited, SessionStoreUnavailable."""
        if request.address is not None:
            await self._count({"login_per_address": request.address})

    async def count_exchange(self, app: WeChatApp) -> None:
        """Count a code that is about to go to WeChat; raises as `count` does.

        Only these, so that nobody uses up what all share with one code over and over.
        """
        await self._count({"login_per_app": app.appid, "login": ""})

    async def _count(self, uses: dict[LimitName, str]) -> None:
        try:
            await self._limits.count_all(uses)
        except RateLimited as error:
            error.data = {**(error.data or {}), "retry": "same_code"}
            # Whoever asks again at once keeps themselves busy, and not the service.
            await asyncio.sleep(_REFUSAL_SECONDS)
            raise

    async def count_failure(self, request: LoginRequest, error: ServiceError) -> None:
        """Add the weight of a code or of data that somebody made up. Never raises."""
        if request.address is None or error.status != _MADE_UP_STATUS:
            return
        with suppress(SessionStoreUnavailable):  # the client is to hear what is wrong with it
            weight = _FAILURE_WEIGHT - 1  # it has counted as a login already
            await self._limits.add("login_per_address", request.address, cost=weight)
