"""A protected business route, to have something to call; not there in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic import Blueprint

from service.answers import success

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.context import AppRequest

demo = Blueprint("demo")

_PRODUCTS = (
    {"id": 1, "name": "明前龙井 50g", "priceFen": 12800},
    {"id": 2, "name": "青花盖碗", "priceFen": 8600},
    {"id": 3, "name": "竹制茶则", "priceFen": 1900},
)


@demo.get("/wx/products/list")
async def list_products(request: AppRequest) -> HTTPResponse:
    """What a shop would show to a logged-in user. Prices in fen."""
    return success(request, {"products": _PRODUCTS})
