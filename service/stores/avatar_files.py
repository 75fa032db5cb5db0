"""Avatars in a folder or in an S3-compatible bucket, by one library for both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, S3Store

from service.errors import UserStoreUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from service.stores.outage import OutageLog

_TIMEOUT: Final = "5s"


def open_files(address: str) -> ObjectStore:
    """A store for AVATAR_STORE: `file://<folder>` or `s3://<bucket>/<prefix>`.

    S3 takes its keys, region and endpoint from the usual AWS_* variables.
    """
    url = urlsplit(address)
    if url.scheme == "file":
        folder = Path(url.netloc + url.path)
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder.absolute())
    options = {"allow_http": True, "timeout": _TIMEOUT, "connect_timeout": _TIMEOUT}
    return S3Store(url.netloc, prefix=url.path.strip("/") or None, client_options=options)  # type: ignore[arg-type] # its stubs lag


class AvatarFiles:
    """The AvatarStore port over obstore."""

    def __init__(self, files: ObjectStore, outage: OutageLog) -> None:
        self._files = files
        self._outage = outage

    async def put(self, name: str, picture: bytes) -> None:
        """Keep a picture; raises UserStoreUnavailable."""
        try:
            await obstore.put_async(self._files, name, picture)
        except Exception as fault:
            self._outage.failed("put", fault)
            raise UserStoreUnavailable from fault

    async def get(self, name: str) -> bytes | None:
        """The picture, None if there is none; raises UserStoreUnavailable."""
        try:
            found = await obstore.get_async(self._files, name)
            return bytes(await found.bytes_async())
        except (FileNotFoundError, NotFoundError):
            return None
        except Exception as fault:
            self._outage.failed("get", fault)
            raise UserStoreUnavailable from fault

    async def delete(self, name: str) -> None:
        """Remove a picture, if it is there; raises UserStoreUnavailable."""
        try:
            await obstore.delete_async(self._files, name)
        except (FileNotFoundError, NotFoundError):
            return
        except Exception as fault:
            self._outage.failed("delete", fault)
            raise UserStoreUnavailable from fault
