"""The demo page: in development only, with the mini-program's own client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "service" / "dev" / "demo_page"
ASSETS = sorted(file.name for file in PAGE.iterdir())


async def text_of(api: Api, path: str) -> str:
    async with api.http.get(api.url + path) as reply:
        assert reply.status == 200, path
        return await reply.text()


async def test_the_page_names_only_files_that_are_there(api: Api) -> None:
    page = await text_of(api, "/")
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(named) >= 5
    for path in named:
        assert path.startswith("/demo/")
        assert await text_of(api, path)
    for name in ASSETS:
        for module in re.findall(r"from '([^']*)'", (PAGE / name).read_text()):
            assert (PAGE / module).is_file(), f"{name} wants {module}"


@pytest.mark.parametrize("name", ASSETS)
async def test_a_part_of_the_page_is_served_as_what_it_is(api: Api, name: str) -> None:
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
    async with api.http.get(f"{api.url}/demo/{name}") as reply:
        assert reply.status == 200
        assert reply.content_type == kinds.get(name.rpartition(".")[2], "image/svg+xml")
        assert await reply.read() == (PAGE / name).read_bytes()
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_its_client_is_the_mini_programs_own(api: Api) -> None:
    client = ROOT / "miniprogram" / "minigate" / "index.js"
    assert (await text_of(api, "/demo/minigate.js")) == client.read_text()


async def test_nothing_but_our_own_files_and_the_simulator_may_be_loaded(
    api: Api, simulator: Simulator
) -> None:
    answer = await api.ask("HEAD", "/")
    policy = answer.headers["Content-Security-Policy"]
    port = simulator.url.rpartition(":")[2]
    assert f"connect-src 'self' http://*:{port};" in policy
    assert "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';" in policy
    page = await text_of(api, "/")
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize("name", ASSETS)
def test_no_part_of_it_reaches_for_another_host(name: str) -> None:
    # That of an SVG is a name, not an address; the others are filled in.
    urls = set(re.findall(r"https?://[^\s'\"`]*", (PAGE / name).read_text()))
    assert name.endswith(".svg") or all(
        url.startswith(("http://127.0.0.1", "http://${")) for url in urls
    )


@pytest.mark.parametrize("name", ["%2e%2e%2fsettings.py", "nothing.js", "page.js%00", ""])
async def test_nothing_else_is_served(api: Api, name: str) -> None:
    assert (await api.ask("GET", f"/demo/{name}")).status == 404


async def test_the_page_is_told_where_the_simulator_is(api: Api, simulator: Simulator) -> None:
    config = (await api.ask("GET", "/demo/config.json")).data
    assert config == {"simulatorUrl": simulator.url, "appid": APPID, "loginCoalesceMs": 0}


@pytest.mark.parametrize(
    "base", ["https://api.weixin.qq.com", "http://wechat.internal:8001", "https://127.0.0.1:8001"]
)
async def test_with_another_wechat_there_is_no_simulator(
    settings: Callable[..., Settings], base: str
) -> None:
    async with running_service(settings(wechat_api_base=(base,))) as api:
        assert (await api.ask("GET", "/demo/config.json")).data["simulatorUrl"] is None
        policy = (await api.ask("HEAD", "/")).headers["Content-Security-Policy"]
        assert "connect-src 'self';" in policy


@pytest.mark.parametrize(
    ("language", "name"), [("zh-CN", "明前龙井 50g"), ("en", "Longjing green tea, 50 g")]
)
async def test_the_products_have_names_in_both_languages(
    api: Api, simulator: Simulator, language: str, name: str
) -> None:
    login = await api.login(await simulator.code())
    headers = {"sessionid": login.data["sessionid"], "Accept-Language": language}
    products = (await api.ask("GET", "/wx/products/list", headers=headers)).data["products"]
    assert products[0] == {"id": 1, "name": name, "priceFen": 12800}
    assert len(products) == 3


@pytest.mark.parametrize("production", [{"environment": "production"}, {"dyno": "web.1"}])
async def test_production_has_none_of_it(
    settings: Callable[..., Settings], production: dict[str, str]
) -> None:
    async with running_service(settings(**production)) as api:
        assert (await api.ask("GET", "/livez")).status == 200
        for path in ("/", "/demo/config.json", "/demo/page.js", "/wx/products/list"):
            answer = await api.ask("GET", path)
            assert (answer.status, answer.code) == (404, 40400), path
