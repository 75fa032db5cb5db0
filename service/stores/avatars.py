"""Avatars in a folder or in an S3-compatible bucket, by one library for both."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from service.core.errors import UserStoreUnavailable
from service.core.fault_cause import name_fault
from service.private_files import make_private

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from service.core.outage import Outage

_TIMEOUT_SECONDS: Final = 5.0
_S3_OPTIONS: Final[ClientConfig] = {"allow_http": True, "timeout": "4s", "connect_timeout": "2s"}
_S3_RETRIES: Final[RetryConfig] = {"max_retries": 1, "retry_timeout": timedelta(seconds=4)}

T = TypeVar("T")


class AvatarFiles:
    """The AvatarStore port over obstore, which is loaded when first needed: it takes 4 MB."""

    def __init__(self, address: str, outage: Outage) -> None:
        """`address` as in AVATAR_STORE: `file://<folder>` or `s3://<bucket>/<prefix>`.

        The folder is made here. S3 takes its keys, region and endpoint from the
        usual AWS_* variables.
        """
        self._url = urlsplit(address)
        self._outage = outage
        self._folder: Path | None = None
        if self._url.scheme == "file":
            self._folder = Path(self._url.netloc + self._url.path).absolute()
            self._make_folder(self._folder)

    def _make_folder(self, folder: Path) -> None:
        """Without it pictures are 50301; sessions go on."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            self._outage.failed("making the folder", name_fault(fault))
        make_private(folder)

    async def put(self, name: str, picture: bytes) -> None:
        await self._in_time("put", self._write(name, picture))

    async def get(self, name: str) -> bytes | None:
        return await self._in_time("get", self._read(name))

    async def delete(self, name: str) -> None:
        await self._in_time("delete", self._remove(name))

    @cached_property
    def _files(self) -> ObjectStore:
        from obstore.store import LocalStore, S3Store  # noqa: PLC0415

        if self._folder:
            return LocalStore(self._folder)
        return S3Store(
            self._url.netloc,
            prefix=self._url.path.strip("/") or None,
            client_options=_S3_OPTIONS,
            retry_config=_S3_RETRIES,
        )

    @cached_property
    def _not_there(self) -> tuple[type[Exception], ...]:
        from obstore.exceptions import NotFoundError  # noqa: PLC0415

        return FileNotFoundError, NotFoundError

    @cached_property
    def _faults(self) -> tuple[type[Exception], ...]:
        from obstore.exceptions import BaseError  # noqa: PLC0415

        return BaseError, OSError  # a TimeoutError is one of the latter

    async def _write(self, name: str, picture: bytes) -> None:
        await self._files.put_async(name, picture)

    async def _read(self, name: str) -> bytes | None:
        try:
            found = await self._files.get_async(name)
            return bytes(await found.bytes_async())
        except self._not_there:
            return None

    async def _remove(self, name: str) -> None:
        with suppress(*self._not_there):
            await self._files.delete_async(name)

    async def _in_time(self, what: str, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                done = await call
        except self._faults as fault:
            self._outage.failed(what, name_fault(fault))
            raise UserStoreUnavailable from fault
        self._outage.works()
        return done
