"""The demo page and a protected business route to call; none of it is there in production."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sanic import Blueprint

from service.core.errors import NotFound
from service.http.responses import Response, headers_for, prefers_english, success

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from service.config.settings import Settings
    from service.http.request import AppRequest

demo = Blueprint("demo")

_ROOT: Final = Path(__file__).parents[3]
_PAGE: Final = _ROOT / "service" / "dev" / "demo_page"
_CLIENT: Final = _ROOT / "miniprogram" / "minigate" / "index.js"
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_PRODUCTS: Final = (
    (1, "明前龙井 50g", "Longjing green tea, 50 g", 12800),
    (2, "青花盖碗", "Blue-and-white gaiwan", 8600),
    (3, "竹制茶则", "Bamboo tea scoop", 1900),
)


@demo.get("/wx/products/list")
async def list_products(request: AppRequest) -> Response:
    """What a shop would show to a logged-in user. Prices in fen."""
    english = prefers_english(request)
    products = [
        {"id": number, "name": en if english else zh, "priceFen": fen}
        for number, zh, en, fen in _PRODUCTS
    ]
    return success(request, {"products": products})


@demo.get("/demo/config.json", ctx_public=True)
async def show_config(request: AppRequest) -> Response:
    """What the page has to know; `simulatorUrl` is null where WeChat is the real one."""
    settings = request.app.ctx.settings
    return success(
        request,
        {
            "simulatorUrl": _simulator_url(settings),
            "appid": next(iter(settings.apps), None),
            "loginCoalesceMs": settings.login_coalesce_ms,
        },
    )


def _show(path: Path) -> Callable[[AppRequest], Coroutine[Any, Any, Response]]:
    async def show_file(request: AppRequest) -> Response:
        return _answer(request, path)

    return show_file


# The mini-program's own client, byte for byte.
for _path, _file in (("/", _PAGE / "index.html"), ("/demo/minigate.js", _CLIENT)):
    demo.add_route(
        _show(_file), _path, methods=("GET", "HEAD"), name=_file.parent.name, ctx_public=True
    )


@demo.get("/demo/<name:str>", ctx_public=True)
async def show_asset(request: AppRequest, name: str) -> Response:
    """A part of the page."""
    # Chosen among the files that are there: a name in a request never becomes a path.
    asset = next((file for file in _PAGE.iterdir() if file.name == name), None)
    if asset is None or asset.suffix not in _KINDS:
        raise NotFound
    return _answer(request, asset)


def _answer(request: AppRequest, path: Path) -> Response:
    """The file as it is now, so that a change shows with the next reload."""
    if not path.is_file():
        raise NotFound
    headers = {
        **headers_for(request),
        "Content-Security-Policy": _policy(request.app.ctx.settings),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(path.read_bytes(), 200, headers, _KINDS[path.suffix])


def _simulator_url(settings: Settings) -> str | None:
    """The simulator's address, known by plain HTTP on this machine; None for the real WeChat."""
    address = urlsplit(settings.wechat_api_base[0])
    is_simulator = address.scheme == "http" and address.hostname in _LOOPBACK
    return settings.wechat_api_base[0] if is_simulator else None


def _policy(settings: Settings) -> str:
    """What the page may load: our own files, and the simulator by any name of this machine."""
    url = _simulator_url(settings)
    simulator = f" http://*:{urlsplit(url).port or 80}" if url else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        f" connect-src 'self'{simulator};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
