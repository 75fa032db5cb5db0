"""How many logins there may be, of one address, of a mini-program and in all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from service.core.errors import RateLimited, ServiceError, SessionStoreUnavailable
from service.core.guessers import Guessers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from service.core.login_request import LoginRequest
    from service.core.models import WeChatApp
    from service.core.ports import LimitName, Limits

T = TypeVar("T")

_REFUSAL_SECONDS: Final = 0.5
"""After so long a login over a limit is refused."""
_MADE_UP_STATUS: Final = 400
"""Whoever is banned or has somebody else's number gets another one: they are known to WeChat."""
_FAILURE_WEIGHT: Final = 10
"""What a login counts that fails by what the client sent."""


class LoginLimits:
    """Counts logins; one whose client's address is not known counts towards none of an address."""

    def __init__(self, limits: Limits, *, most_held: int) -> None:
        """`most_held`: refusals that are held back at a time; the others come at once."""
        self._limits = limits
        self._most_held = most_held
        self._guessers = Guessers()
        self._held = 0

    async def count(self, request: LoginRequest) -> None:
        """Count a login of its address; raises RateLimited, SessionStoreUnavailable."""
        if request.address is not None:
            await self._count({"login_per_address": request.address})

    async def exchange(
        self, request: LoginRequest, app: WeChatApp, ask: Callable[[], Awaitable[T]]
    ) -> T:
        """What `ask`, a code's way to WeChat, returns; counted before, or raises as `count` does.

        Only these, so that nobody uses up what all share with one code over and over.
        Nor with many that are made up: whoever may do that has half of it at most.
        """
        uses: dict[LimitName, str] = {"login_per_app": app.appid, "login": ""}
        address = request.address
        if address is None:  # it may be everybody's
            return await self._counted(uses, ask, doubtful=False)
        doubtful = self._guessers.may_guess(address)
        with self._guessers.asking(address):
            try:
                answer = await self._counted(uses, ask, doubtful=doubtful)
            except ServiceError as error:
                if error.sent and error.status == _MADE_UP_STATUS:
                    self._guessers.note(address)
                    await self._add(uses, doubtful=0 if doubtful else 1)
                elif error.sent:
                    await self._add(uses, doubtful=-int(doubtful))
                raise
            await self._add(uses, doubtful=-int(doubtful))
        return answer

    async def _counted(
        self, uses: Mapping[LimitName, str], ask: Callable[[], Awaitable[T]], *, doubtful: bool
    ) -> T:
        """What `ask` returns; what never reached WeChat is given back."""
        try:
            await self._count(uses, doubtful=doubtful)
        except ServiceError as error:
            error.sent = False
            raise
        try:
            return await ask()
        except ServiceError as error:
            if not error.sent:
                await self._add(uses, cost=-1, doubtful=-int(doubtful))
            raise

    async def _count(self, uses: Mapping[LimitName, str], *, doubtful: bool = False) -> None:
        try:
            await self._limits.count_all(uses, doubtful=doubtful)
        except RateLimited as error:
            error.data = {**(error.data or {}), "retry": "same_code"}
            await self._hold()
            raise

    async def _hold(self) -> None:
        """Let who asks again at once keep themselves busy, and not the service.

        Not all of them, though: their connections are nobody else's meanwhile.
        """
        if self._held < self._most_held:
            self._held += 1
            try:
                await asyncio.sleep(_REFUSAL_SECONDS)
            finally:
                self._held -= 1

    async def _add(
        self, uses: Mapping[LimitName, str], *, cost: int = 0, doubtful: int = 0
    ) -> None:
        if not cost and not doubtful:
            return
        with suppress(SessionStoreUnavailable):  # what became of the login stands
            for limit, who in uses.items():
                await self._limits.add(limit, who, cost=cost, doubtful=doubtful)

    async def count_failure(self, request: LoginRequest, error: ServiceError) -> None:
        """Add the weight of a code or of data that somebody made up. Never raises."""
        if request.address is None or error.status != _MADE_UP_STATUS:
            return
        weight = _FAILURE_WEIGHT - 1  # it has counted as a login already
        await self._add({"login_per_address": request.address}, cost=weight)
