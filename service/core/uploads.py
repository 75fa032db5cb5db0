"""Which uploads a worker takes: one of each user, and no more than it has memory for."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from service.core.errors import PicturesBusy, RateLimited, SessionError, UserBanned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.core.errors import ServiceError
    from service.core.models import Session
    from service.core.ports import Limits, SessionStore


_PATIENCE_SECONDS: Final = 2.0
"""What an upload may be behind; beyond that it gives way where there is no room."""
_LEAST_RATE: Final = 32 * 1024
"""Bytes a second; what comes slower falls behind."""


class Upload:
    """One that is being taken."""

    def __init__(self, uploads: Uploads, session: Session) -> None:
        self.session = session
        self._uploads = uploads
        self._ended_by: ServiceError = PicturesBusy()
        self._bytes = 0
        self._time = asyncio.timeout(None)
        self.due = time.monotonic() + _PATIENCE_SECONDS
        """When it is too far behind, unless more comes; in monotonic seconds."""

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """While its client sends it. Raises what `give_way` was told, if it had to."""
        try:
            async with self._time:
                self._uploads.coming.add(self)
                yield
                if self._time.when() is not None:  # at the very last
                    raise TimeoutError
        except TimeoutError:
            raise self._ended_by from None
        finally:
            self._uploads.coming.discard(self)

    def grow(self, size: int) -> None:
        """Say, before they are kept, that so many more bytes are; raises PicturesBusy."""
        now = time.monotonic()
        # What came fast in the beginning does not pay for standing still later.
        self.due = min(self.due + size / _LEAST_RATE, now + _PATIENCE_SECONDS)
        self._uploads.make_room(size, now)
        self._bytes += size
        self._uploads.bytes_left -= size

    def give_way(self, error: ServiceError | None = None) -> None:
        """End it while it comes, with `error`, else PicturesBusy: its place is for another one."""
        self._ended_by = error or self._ended_by
        self._uploads.coming.discard(self)
        self._time.reschedule(0)  # long ago, so now
        self.end()

    def end(self) -> None:
        """Nothing of it is kept any more."""
        self._uploads.bytes_left += self._bytes
        self._bytes = 0


class Uploads:
    """The uploads of a worker."""

    def __init__(self, limits: Limits, sessions: SessionStore, *, most_bytes: int) -> None:
        """`most_bytes`: of all of them together, while they come, wait and are decoded."""
        self._limits = limits
        self._sessions = sessions
        self._users: dict[str, Upload] = {}
        self._turn = asyncio.Lock()
        self.coming: set[Upload] = set()
        self.bytes_left = most_bytes

    def make_room(self, size: int, now: float) -> None:
        """For so many bytes, by ending what is too far behind, worst first; raises PicturesBusy."""
        while size > self.bytes_left:
            slowest = min(self.coming, key=attrgetter("due"), default=None)
            if slowest is None or slowest.due > now:
                raise PicturesBusy
            slowest.give_way()

    async def pace(self) -> None:
        """Wait for one's turn to read on: one piece of one upload at a time, then all other work.

        A dozen that come at once would be a dozen pieces, which others wait for.
        """
        async with self._turn:
            await asyncio.sleep(0)

    @asynccontextmanager
    async def admit(self, session: Session) -> AsyncIterator[Upload]:
        """Take one upload of a session's user.

        Raises RateLimited while another of the same user is under way here, unless its
        session has ended, or after too many; and SessionStoreUnavailable.
        """
        user = session.counted_as
        while user in self._users:
            await self._end_if_dead(self._users[user])
        upload = self._users[user] = Upload(self, session)
        try:
            await self._limits.count("uploads_per_user", user)
            yield upload
        finally:
            if self._users.get(user) is upload:
                del self._users[user]
            upload.end()

    async def _end_if_dead(self, upload: Upload) -> None:
        """Take an upload's place where its session has ended; else raise RateLimited.

        Whoever has an old id would keep its owner from a new picture, by a slow one. What
        is being decoded by now ends by itself, and changes nothing.
        """
        try:
            await self._sessions.revalidate(upload.session)
        except (SessionError, UserBanned) as dead:
            user = upload.session.counted_as
            if self._users.get(user) is upload:
                del self._users[user]
            if upload in self.coming:
                upload.give_way(dead)
        else:
            raise RateLimited("uploads_per_user", retry_after=1)
