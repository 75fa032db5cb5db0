"""How often encryptedData may fail to open."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from service.core.errors import RateLimited, SessionStoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.core.ports import LimitName, Limits
    from service.core.throttled_log import ThrottledLog


class FailedOpenings:
    """Counts what does not open, by session and by user.

    Each answer tells who asks whether what they put together opens. So an attempt
    counts as failed before it is made, and counts no more once it has opened: however
    many are made at once, no more fail than may.
    """

    def __init__(self, limits: Limits, log: ThrottledLog) -> None:
        self._limits = limits
        self._log = log

    @asynccontextmanager
    async def attempt(self, *, handle: str, user: str) -> AsyncIterator[None]:
        """What the block raises is a failure of this session and this user.

        Raises RateLimited and SessionStoreUnavailable before the block.
        """
        uses: dict[LimitName, str] = {
            "failed_decrypt_per_session": handle,
            "failed_decrypt_per_user": user,
        }
        try:
            await self._limits.count_all(uses)
        except RateLimited as error:
            self._log.warn("too many failures", f"{(error.data or {})['limit']} handle={handle}")
            raise
        yield
        # What has opened is answered, even if it counts as failed for a while.
        with suppress(SessionStoreUnavailable):
            for limit, who in uses.items():
                await self._limits.add(limit, who, cost=-1)
