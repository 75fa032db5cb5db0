"""Which uploads a worker takes: one of each user, and no more than it has memory for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from service.core.errors import PicturesBusy, RateLimited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.core.ports import Limits


class Upload:
    """One that is being taken."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._bytes = 0

    def grow(self, size: int) -> None:
        """Say, before they are kept, that so many more bytes are; raises PicturesBusy."""
        if size > self._uploads.bytes_left:
            raise PicturesBusy
        self._bytes += size
        self._uploads.bytes_left -= size

    def end(self) -> None:
        """Nothing of it is kept any more."""
        self._uploads.bytes_left += self._bytes
        self._bytes = 0


class Uploads:
    """The uploads of a worker."""

    def __init__(self, limits: Limits, *, most_bytes: int) -> None:
        """`most_bytes`: of all of them together, while they come, wait and are decoded."""
        self._limits = limits
        self._users: set[str] = set()
        self._turn = asyncio.Lock()
        self.bytes_left = most_bytes

    async def pace(self) -> None:
        """Wait for one's turn to read on: one piece of one upload at a time, then all other work.

        A dozen that come at once would be a dozen pieces, which others wait for.
        """
        async with self._turn:
            await asyncio.sleep(0)

    @asynccontextmanager
    async def admit(self, user: str) -> AsyncIterator[Upload]:
        """Take one upload of a user, as limits count them.

        Raises RateLimited while another of the same user is under way here, or
        after too many; and SessionStoreUnavailable.
        """
        if user in self._users:
            raise RateLimited("uploads_per_user", retry_after=1)
        self._users.add(user)
        upload = Upload(self)
        try:
            await self._limits.count("uploads_per_user", user)
            yield upload
        finally:
            self._users.discard(user)
            upload.end()
