"""Avatars in a folder or in an S3-compatible bucket, by one library for both."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, S3Store

from service.errors import UserStoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from service.stores.outage import OutageLog

_PATIENCE_SECONDS: Final = 5.0
_S3_OPTIONS: Final[ClientConfig] = {"allow_http": True, "timeout": "4s", "connect_timeout": "2s"}
_S3_RETRIES: Final[RetryConfig] = {"max_retries": 1, "retry_timeout": timedelta(seconds=4)}

T = TypeVar("T")


def open_files(address: str) -> ObjectStore:
    """A store for AVATAR_STORE: `file://<folder>` or `s3://<bucket>/<prefix>`.

    S3 takes its keys, region and endpoint from the usual AWS_* variables.
    """
    url = urlsplit(address)
    if url.scheme == "file":
        folder = Path(url.netloc + url.path)
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder.absolute())
    return S3Store(
        url.netloc,
        prefix=url.path.strip("/") or None,
        client_options=_S3_OPTIONS,
        retry_config=_S3_RETRIES,
    )


class AvatarFiles:
    """The AvatarStore port over obstore."""

    def __init__(self, files: ObjectStore, outage: OutageLog) -> None:
        self._files = files
        self._outage = outage

    async def put(self, name: str, picture: bytes) -> None:
        """Keep a picture; raises UserStoreUnavailable."""
        await self._in_time("put", obstore.put_async(self._files, name, picture))

    async def get(self, name: str) -> bytes | None:
        """The picture, None if there is none; raises UserStoreUnavailable."""
        return await self._in_time("get", self._read(name))

    async def delete(self, name: str) -> None:
        """Remove a picture, if it is there; raises UserStoreUnavailable."""
        await self._in_time("delete", self._remove(name))

    async def _read(self, name: str) -> bytes | None:
        try:
            found = await obstore.get_async(self._files, name)
            return bytes(await found.bytes_async())
        except (FileNotFoundError, NotFoundError):
            return None

    async def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError, NotFoundError):
            await obstore.delete_async(self._files, name)

    async def _in_time(self, what: str, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await call
        except Exception as fault:
            self._outage.failed(what, fault)
            raise UserStoreUnavailable from fault
