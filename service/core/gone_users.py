"""Ends sessions of users who are gone: from a table that was restored from a backup, say.

A check never asks the user database, so that sessions are good without it. This asks
afterwards, about many users at once, and each of them once in a minute or two.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import Context
from typing import TYPE_CHECKING, Final

from service.core.errors import SessionStoreUnavailable, UserStoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.core.events import Events
    from service.core.lately_seen import LatelySeen, SeenSession
    from service.core.ports import SessionStore, UserStore
    from service.core.throttled_log import ThrottledLog

_EVERY_SECONDS: Final = 1.0
_MOST_USERS: Final = 500
"""In one question."""
_GENERATION_SECONDS: Final = 60.0
_DOUBT_SECONDS: Final = 3.0
"""Before a user who was not found is asked about once more: a database may lag."""
_AWAY_SECONDS: Final = 5.0
"""Before the next question, after one that failed."""


class GoneUsers:
    """Asks about users whose sessions have lived lately, and ends what has no user any more."""

    def __init__(
        self,
        seen: LatelySeen,
        users: UserStore,
        sessions: SessionStore,
        events: Events,
        log: ThrottledLog,
    ) -> None:
        """`log` is told of bugs: nobody waits for what is done here."""
        self._seen = seen
        self._users = users
        self._sessions = sessions
        self._events = events
        self._log = log
        self._asking: list[SeenSession] = []
        self._doubted: list[tuple[float, list[SeenSession]]] = []
        """Sessions whose users were not found, and when, in monotonic seconds."""
        self._rotate_at = time.monotonic() + _GENERATION_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on asking until it is closed."""
        self._task = asyncio.create_task(self._run(), context=Context())

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.ask()
            except (UserStoreUnavailable, SessionStoreUnavailable):
                await asyncio.sleep(_AWAY_SECONDS)  # their logs have why
            except Exception as bug:  # noqa: BLE001 # must not end it
                self._log.failed("asking about users", type(bug).__name__)

    async def ask(self) -> None:
        """Ask about those who have come up, and once more about those who were not found.

        Raises UserStoreUnavailable and SessionStoreUnavailable; they are asked about the
        next time then.
        """
        now = time.monotonic()
        if now >= self._rotate_at:
            self._rotate_at = now + _GENERATION_SECONDS
            self._seen.rotate()
        if not self._asking:
            self._asking = self._seen.take(_MOST_USERS)
        missing = await self._missing(self._asking)
        if missing:
            self._doubted.append((now, missing))
        self._asking = []
        while self._doubted and self._doubted[0][0] + _DOUBT_SECONDS <= now:
            await self._end_of(await self._missing(self._doubted[0][1]))
            del self._doubted[0]

    async def _missing(self, sessions: list[SeenSession]) -> list[SeenSession]:
        """Those whose users are not there."""
        if not sessions:
            return []
        found = await self._users.existing({one.user_id for one in sessions})
        return [one for one in sessions if one.user_id not in found]

    async def _end_of(self, sessions: Iterable[SeenSession]) -> None:
        for one in sessions:
            if await self._sessions.revoke_digest(one.handle, one.digest):
                self._events.record(
                    "expired",
                    user=one.user_id,
                    handle=one.handle,
                    appid=one.appid,
                    device=one.device,
                    reason="user_gone",
                )
            # Other sessions of theirs are found when they are used.
            self._seen.forget(one.user_id)
