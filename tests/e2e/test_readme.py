"""The shell blocks of both READMEs, pasted line by line into a shell."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.blocks import SERVICE, SIMULATOR, blocks, pasted, without_comments
from tests.support.process import LINUX_ONLY

READMES = ("README.md", "README.zh-CN.md")

pytestmark = LINUX_ONLY


@pytest.mark.parametrize(
    ("language", "mark"),
    [("sh", "#"), ("js", "//"), ("nginx", "#"), ("caddyfile", "#"), ("yaml", "#"), ("python", "#")],
)
def test_both_readmes_have_the_same_blocks(language: str, mark: str) -> None:
    english, chinese = (
        [without_comments(block, mark) for block in blocks(readme, language)] for readme in READMES
    )
    assert english == chinese
    assert english


@pytest.mark.parametrize("readme", READMES)
async def test_the_tour_goes_as_the_readme_says(readme: str, service: tuple[str, str]) -> None:
    tours = [block for block in blocks(readme, "sh") if SERVICE in block]
    outputs = await pasted("".join(tours), dict(zip((SERVICE, SIMULATOR), service, strict=True)))

    first, replaced, broken = (len(tour.splitlines()) for tour in tours)
    code, login, sid, session, verify, products, logout, after = outputs[:first]
    assert (code, sid) == ("", "")
    made = json.loads(login)["data"]
    assert (made["expiresIn"], made["isNewUser"]) == (7200, True)
    assert json.loads(session)["data"]["user"] == made["user"]
    assert verify.startswith("HTTP/1.1 200 ")
    assert f"\nX-Auth-Request-User: {made['user']['id']}\r\n" in verify
    assert re.search(r"^X-Auth-Openid: o\S{27}\r?$", verify, re.MULTILINE)
    assert len(json.loads(products)["data"]["products"]) == 3
    assert json.loads(logout)["data"] == {"ended": True}
    assert after.startswith("HTTP/1.1 401 ")
    assert '"code":40102' in after

    *_, both, slept, new, old_session, new_session = outputs[first : first + replaced]
    assert (both, slept, new) == ("one session for both", "", "")
    assert json.loads(old_session)["code"] == 40101
    assert json.loads(new_session)["code"] == 0

    on, refused, living, off, stats = outputs[-broken:]
    assert json.loads(on)["kind"] == "html_502"
    assert refused.startswith("HTTP/1.1 502 ")
    assert '"code":50200' in refused
    assert json.loads(living)["code"] == 0
    assert json.loads(off) == {"cleared": 1}
    assert json.loads(stats)["calls"]["/sns/jscode2session"]["total"] == 5
