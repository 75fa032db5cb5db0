"""The page for operators. It holds nothing itself: all that it shows it asks of the admin API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sanic import Blueprint

from service.http.page_files import show_file, show_part

if TYPE_CHECKING:
    from service.http.request import AppRequest
    from service.http.responses import Response

admin_page = Blueprint("admin_page")

_PAGE: Final = Path(__file__).parents[1] / "admin_page"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    # Text never becomes HTML or a script, whatever the page does with it.
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


# Not guarded by a session, nor by a token: what is asked for the token is this page.
async def show_page(request: AppRequest) -> Response:
    """The page, which asks for one of ADMIN_TOKENS."""
    return show_file(request, _PAGE / "index.html", _POLICY)


async def show_page_part(request: AppRequest, name: str) -> Response:
    """A part of it."""
    return show_part(request, _PAGE, name, _POLICY)


_METHODS: Final = ("GET", "HEAD")
admin_page.add_route(show_page, "/admin", methods=_METHODS, ctx_public=True)
admin_page.add_route(show_page_part, "/admin/page/<name:str>", methods=_METHODS, ctx_public=True)
