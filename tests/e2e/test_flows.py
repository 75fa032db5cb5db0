"""The shell blocks of docs/flows, pasted line by line into a shell."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.blocks import SERVICE, SIMULATOR, blocks, pasted, without_comments
from tests.support.ports import free_port
from tests.support.process import LINUX_ONLY, ServiceProcess, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FLOWS = ("docs/flows.md", "docs/flows.zh-CN.md")

pytestmark = LINUX_ONLY


@pytest.mark.parametrize(("language", "mark"), [("sh", "#"), ("js", "//"), ("xml", "#")])
def test_both_languages_have_the_same_blocks(language: str, mark: str) -> None:
    english, chinese = (
        [without_comments(block, mark) for block in blocks(document, language)]
        for document in FLOWS
    )
    assert english == chinese
    assert english


class Outputs:
    """What the lines printed, block by block."""

    def __init__(self, tours: list[str], printed: list[str]) -> None:
        self._lengths = iter([len(tour.splitlines()) for tour in tours])
        self._printed = iter(printed)

    def next_block(self) -> list[str]:
        return [next(self._printed) for _ in range(next(self._lengths))]


def answer(output: str) -> Any:
    return json.loads(output)["data"]


@pytest.mark.parametrize("document", FLOWS)
async def test_the_flows_go_as_described(document: str, service: tuple[str, str]) -> None:
    everything = blocks(document, "sh")
    separate = next(i for i, block in enumerate(everything) if "make run" in block)
    tours = everything[:separate]
    outputs = Outputs(
        tours,
        await pasted("".join(tours), dict(zip((SERVICE, SIMULATOR), service, strict=True))),
    )

    assert outputs.next_block() == [""] * 4

    first, second = map(answer, outputs.next_block())
    assert (first["isNewUser"], second["isNewUser"]) == (True, False)
    assert first["user"] == second["user"]

    _, by_phone, again, _, taken, calls = outputs.next_block()
    assert answer(by_phone)["user"]["phone"] == "138****0001"
    assert answer(by_phone)["user"] == answer(again)["user"]
    assert taken.startswith("HTTP/1.1 409 ")
    assert '"error":"phone_taken"' in taken
    assert calls == '"/wxa/business/getuserphonenumber":{"total":2'

    *_, bound, session = outputs.next_block()
    assert answer(bound)["phone"] == "+852 61234567"
    assert answer(session)["user"]["phone"] == "612****67"

    _, profile, phone, rotated, _, stale, _, fresh = outputs.next_block()
    assert answer(profile)["nickName"] == "Gina"
    assert answer(phone)["purePhoneNumber"] == "13800000002"
    assert json.loads(rotated) == {"rotated": True}
    assert (json.loads(stale)["code"], answer(stale)) == (40005, {"relogin": True})
    assert answer(fresh)["purePhoneNumber"] == "13800000002"

    *_, login = outputs.next_block()
    assert answer(login)["user"]["nickname"] == "Gina"

    _, renamed, _, avatar, picture, me = outputs.next_block()
    assert answer(renamed)["nickname"] == "Hugo"
    assert answer(me)["avatar"] == avatar
    assert picture == "200 image/jpeg"

    export, deleted, gone, back = outputs.next_block()
    assert answer(export)["user"] == answer(me)
    assert answer(deleted) == {"deleted": True}
    assert json.loads(gone)["code"] == 40102
    assert answer(back)["isNewUser"]
    assert answer(back)["user"]["id"] != answer(me)["id"]


@asynccontextmanager
async def several_mini_programs(block: str, home: Path) -> AsyncIterator[tuple[str, str]]:
    """What the block that exports variables starts, on ports of its own."""
    port = free_port()
    simulator = f"127.0.0.1:{port}"
    exports = [line for line in block.splitlines() if line.startswith("export ")]
    words = [word for line in exports for word in shlex.split(line)[1:]]
    variables = dict(word.replace(SIMULATOR, simulator).split("=", 1) for word in words)
    variables["SIMULATOR_PORT"] = str(port)
    command = (sys.executable, "-m", "service.simulator")
    async with (
        ServiceProcess(variables, home=home, command=command),
        ServiceProcess(variables, home=home) as process,
    ):
        await process.ready()
        await eventually(lambda: listens(port), within=15, what="the simulator listens")
        yield f"127.0.0.1:{process.port}", simulator


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("document", FLOWS)
async def test_several_mini_programs_go_as_described(document: str, tmp_path: Path) -> None:
    everything = blocks(document, "sh")
    start = next(i for i, block in enumerate(everything) if "make run" in block)
    tours = everything[start + 1 :]
    async with several_mini_programs(everything[start], tmp_path) as addresses:
        outputs = Outputs(
            tours,
            await pasted("".join(tours), dict(zip((SERVICE, SIMULATOR), addresses, strict=True))),
        )

    *_, one, two, referred, unnamed, foreign = outputs.next_block()
    assert [answer(login)["isNewUser"] for login in (one, two, referred)] == [True, False, False]
    assert len({answer(login)["user"]["id"] for login in (one, two, referred)}) == 1
    assert answer(one)["sessionid"] != answer(two)["sessionid"] == answer(referred)["sessionid"]
    assert (json.loads(unnamed)["code"], json.loads(foreign)["code"]) == (40004, 40001)

    token, refused = outputs.next_block()
    assert answer(token)["accessToken"]
    assert 0 < answer(token)["expiresIn"] <= 7200
    assert json.loads(refused)["code"] == 40302
