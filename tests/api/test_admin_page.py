"""The page for operators: where ADMIN_TOKENS is set, and with nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Api

PAGE = Path(__file__).parents[2] / "service" / "http" / "admin_page"
PARTS = sorted(file.name for file in PAGE.iterdir())
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
SECRET = "operators-secret-5f0c8e1b7d3a9264"


@pytest.fixture
async def operated(settings: Callable[..., Settings]) -> AsyncIterator[Api]:
    """A service with somebody to operate it."""
    async with running_service(settings(admin_tokens=f"alice:{SECRET}")) as api:
        yield api


@pytest.mark.parametrize("path", ["/admin", "/admin/", *(f"/admin/page/{name}" for name in PARTS)])
async def test_without_admin_tokens_there_is_no_page(api: Api, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert (await api.ask(method, path)).status == 404


@pytest.mark.parametrize("path", ["/admin", *(f"/admin/page/{name}" for name in PARTS)])
async def test_it_may_load_its_own_files_only_and_is_kept_nowhere(operated: Api, path: str) -> None:
    for method in ("GET", "HEAD"):
        headers = (await operated.ask(method, path)).headers
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "connect-src": "'self'",
            "img-src": "'self' data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", PARTS)
async def test_a_part_is_served_as_what_it_is(operated: Api, name: str) -> None:
    async with operated.http.get(f"{operated.url}/admin/page/{name}") as reply:
        assert reply.status == 200
        assert reply.content_type == KINDS[name.rpartition(".")[2]]
        assert await reply.read() == (PAGE / name).read_bytes()


async def test_the_page_names_only_files_that_are_there(operated: Api) -> None:
    async with operated.http.get(f"{operated.url}/admin") as reply:
        page = await reply.text()
    assert page == (PAGE / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(named) >= 3
    for path in named:
        assert path.startswith("/admin/page/")
        assert (await operated.ask("HEAD", path)).status == 200
    modules = {
        module
        for name in PARTS
        for module in re.findall(r"from '([^']*)'", (PAGE / name).read_text())
    }
    assert modules
    assert {module.removeprefix("./") for module in modules} <= set(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_no_part_needs_another_host_inline_script_or_html_made_of_text(name: str) -> None:
    text = (PAGE / name).read_text()
    urls = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s'\"`]*", text))
    assert urls <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=\"|\sstyle=\"", text)
    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|DOMParser|cookie)\b", text
    )


def test_the_browser_keeps_language_and_theme_and_nothing_else() -> None:
    kept = set()
    for name in PARTS:
        text = (PAGE / name).read_text()
        if name != "choices.js":
            assert not re.search(r"\b(\w+Storage|indexedDB|caches|window\.name)\b", text), name
            kept |= set(re.findall(r"(?<![\w.])keep\(([^,)]*)", text))
    assert kept == {"'language'", "'theme'"}


@pytest.mark.parametrize(
    "name", ["%2e%2e%2froutes%2fdemo.py", "..%2Fcontext.py", "nothing.js", "page.js%00", ""]
)
async def test_nothing_else_is_served(operated: Api, name: str) -> None:
    assert (await operated.ask("GET", f"/admin/page/{name}")).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nobody_changes_it(operated: Api, method: str) -> None:
    assert (await operated.ask(method, "/admin")).status == 405
