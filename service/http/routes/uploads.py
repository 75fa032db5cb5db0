"""Pictures, to anybody who knows their name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sanic import Blueprint

from service.core.errors import NotFound
from service.core.models import DEFAULT_AVATAR
from service.http.responses import Response
from service.http.routes.views import UPLOADS

if TYPE_CHECKING:
    from service.http.request import AppRequest

uploads = Blueprint("uploads")

_NAME = re.compile(r"[0-9a-f]{40}\.jpg", re.ASCII)
_DEFAULT: Final = Path(__file__).with_name(DEFAULT_AVATAR).read_bytes()
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_A_DAY: Final = "public, max-age=86400"


async def show_picture(request: AppRequest, name: str) -> Response:
    """An avatar. Its name changes with its content, so it may be cached for ever."""
    if name == DEFAULT_AVATAR:
        return _picture(_DEFAULT, "image/png", _A_DAY)
    if not _NAME.fullmatch(name):
        raise NotFound
    etag = f'"{name.partition(".")[0]}"'
    if request.headers.getone("if-none-match", "") == etag:
        return Response(b"", 304, {"ETag": etag, "Cache-Control": _FOR_EVER})
    picture = await request.app.ctx.services.avatars.get(name)
    if picture is None:
        raise NotFound
    return _picture(picture, "image/jpeg", _FOR_EVER, {"ETag": etag})


uploads.add_route(show_picture, f"{UPLOADS}<name:str>", methods=("GET", "HEAD"), ctx_public=True)


def _picture(
    content: bytes, kind: str, caching: str, headers: dict[str, str] | None = None
) -> Response:
    safe = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    return Response(content, 200, {**safe, **(headers or {})}, kind)
