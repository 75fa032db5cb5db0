"""The demo page and a protected business route to call; none of it is there in production."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sanic import Blueprint

from service.http.page_files import show_file, show_part
from service.http.responses import prefers_english, success

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from service.config.settings import Settings
    from service.http.request import AppRequest
    from service.http.responses import Response

demo = Blueprint("demo")

_ROOT: Final = Path(__file__).parents[3]
_PAGE: Final = _ROOT / "service" / "dev" / "demo_page"
_CLIENT: Final = _ROOT / "miniprogram" / "minigate" / "index.js"
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
    async def show(request: AppRequest) -> Response:
        return show_file(request, path, _policy(request.app.ctx.settings))

    return show


# The mini-program's own client, byte for byte.
for _path, _file in (("/", _PAGE / "index.html"), ("/demo/minigate.js", _CLIENT)):
    demo.add_route(
        _show(_file), _path, methods=("GET", "HEAD"), name=_file.parent.name, ctx_public=True
    )


@demo.get("/demo/<name:str>", ctx_public=True)
async def show_asset(request: AppRequest, name: str) -> Response:
    """A part of the page."""
    return show_part(request, _PAGE, name, _policy(request.app.ctx.settings))


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
