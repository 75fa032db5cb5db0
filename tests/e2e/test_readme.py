"""The shell blocks of both READMEs, pasted line by line into a shell."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.process import ServiceProcess, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
SERVICE, SIMULATOR = "127.0.0.1:8000", "127.0.0.1:8001"
END_OF_LINE = "--- end of line"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ServiceProcess reads /proc")


def blocks(readme: str, language: str) -> list[str]:
    fence = rf"^```{language}\n(.*?)^```$"
    return re.findall(fence, (ROOT / readme).read_text(), re.MULTILINE | re.DOTALL)


def without_comments(block: str, mark: str) -> list[str]:
    lines = [re.sub(rf"(^|\s+){mark} .*", "", line) for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize(
    ("language", "mark"), [("sh", "#"), ("js", "//"), ("nginx", "#"), ("python", "#")]
)
def test_both_readmes_have_the_same_blocks(language: str, mark: str) -> None:
    english, chinese = (
        [without_comments(block, mark) for block in blocks(readme, language)] for readme in READMES
    )
    assert english == chinese
    assert english


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """What `make run` starts; yields the addresses of the service and of the simulator."""
    simulator_port = free_port()
    environment = {"SIMULATOR_PORT": str(simulator_port)}
    async with ServiceProcess(environment, home=tmp_path) as process:
        await process.ready()
        yield f"127.0.0.1:{process.port}", f"127.0.0.1:{simulator_port}"


@pytest.mark.parametrize("readme", READMES)
async def test_the_tour_goes_as_the_readme_says(readme: str, service: tuple[str, str]) -> None:
    tours = [block for block in blocks(readme, "sh") if SERVICE in block]
    outputs = await pasted("".join(tours), dict(zip((SERVICE, SIMULATOR), service, strict=True)))

    first, replaced, broken = (len(tour.splitlines()) for tour in tours)
    code, login, sid, session, verify, products, logout, after = outputs[:first]
    assert (code, sid) == ("", "")
    assert json.loads(login)["data"]["expiresIn"] == 7200
    assert json.loads(session)["data"]["device"] == "default"
    assert verify.startswith("HTTP/1.1 200 ")
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


async def pasted(lines: str, addresses: dict[str, str]) -> list[str]:
    """Run the lines in one shell; returns what each of them printed."""
    for written, actual in addresses.items():
        lines = lines.replace(written, actual)
    script = "".join(f"{line}\necho '{END_OF_LINE}'\n" for line in lines.splitlines())
    shell = await asyncio.create_subprocess_exec(
        "bash",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await shell.communicate(script.encode())
    assert complaints.decode() == ""
    *outputs, rest = output.decode().split(f"{END_OF_LINE}\n")
    assert rest == ""
    return [one.strip() for one in outputs]
