"""Pictures, as a mini-program, a browser or a cache asks for them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import aiohttp
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.support.running import Api, Simulator


@pytest.fixture
async def path(api: Api, simulator: Simulator) -> str:
    """Of somebody's picture."""
    login = await api.login(await simulator.code())
    file = io.BytesIO()
    Image.new("RGB", (90, 60), "teal").save(file, "PNG")
    form = aiohttp.FormData()
    form.add_field("avatar", file.getvalue(), filename="tmp.png", content_type="image/png")
    session = {"sessionid": login.data["sessionid"]}
    return str((await api.ask("POST", "/me/avatar", data=form, headers=session)).data["avatar"])


async def seen(api: Api, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], int]:
    """The status, the headers that matter, the length of the body."""
    names = ("Content-Type", "Content-Length", "Cache-Control", "ETag", "X-Content-Type-Options")
    async with api.http.request(method, api.url + path, headers=headers) as reply:
        body = await reply.read()
        return reply.status, {name: reply.headers.get(name, "") for name in names}, len(body)


async def test_head_tells_of_a_picture_what_get_would(api: Api, path: str) -> None:
    for one in (path, "/uploads/default-avatar.png"):
        status, headers, length = await seen(api, "GET", one)
        assert status == 200
        assert headers["Content-Length"] == str(length)
        assert await seen(api, "HEAD", one) == (200, headers, 0)


async def test_head_of_a_picture_that_is_kept_already_is_304(api: Api, path: str) -> None:
    _, headers, _ = await seen(api, "GET", path)
    for method in ("GET", "HEAD"):
        status, _, length = await seen(api, method, path, **{"If-None-Match": headers["ETag"]})
        assert (status, length) == (304, 0)


async def test_head_of_a_picture_that_is_not_there_is_404(api: Api) -> None:
    assert (await seen(api, "HEAD", f"/uploads/{'0' * 40}.jpg"))[0] == 404
