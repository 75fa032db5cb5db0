"""The files of a page in a browser, as they lie in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.core.errors import NotFound
from service.http.responses import Response, headers_for

if TYPE_CHECKING:
    from pathlib import Path

    from service.http.request import AppRequest

_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def show_file(request: AppRequest, path: Path, policy: str) -> Response:
    """The file as it is now, so that a change shows with the next reload.

    `policy` is its Content-Security-Policy. Raises NotFound where there is none.
    """
    if path.suffix not in _KINDS or not path.is_file():
        raise NotFound
    headers = {
        **headers_for(request),
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(path.read_bytes(), 200, headers, _KINDS[path.suffix])


def show_part(request: AppRequest, folder: Path, name: str, policy: str) -> Response:
    """The file of that name in the folder, like `show_file`."""
    # Chosen among the files that are there: a name in a request never becomes a path.
    part = next((file for file in folder.iterdir() if file.name == name), None)
    if part is None:
        raise NotFound
    return show_file(request, part, policy)
