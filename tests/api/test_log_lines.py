"""What comes over HTTP writes no line of its own into the log, and no escape code."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from tests.api.test_guard import DEAD
from tests.support.running import Api, Ask, running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Simulator

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} [A-Z]+ [\w.]+ \S.*")
FORGED = "x\n2026-01-01T00:00:00+0000 INFO service.core.login login handle=forged\x1b[2J\u202e"


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    told = io.StringIO()
    monkeypatch.setattr("sys.stderr", told)
    return told


@pytest.fixture
async def api(
    stderr: io.StringIO, settings: Callable[..., Settings], simulator: Simulator
) -> AsyncIterator[Api]:
    assert stderr.getvalue() == ""
    own = settings(wechat_api_base=(simulator.url,), access_log=True, log_level="DEBUG")
    async with running_service(own) as running:
        yield running


def assert_lines(told: str) -> None:
    for line in told.removesuffix("\n").split("\n"):
        assert LINE.fullmatch(line), line
        assert line.isprintable(), line


@pytest.mark.parametrize(
    "head",
    [
        f'form-data; name="f"\r\nContent-Type: text/plain; charset="{FORGED}"',
        f'form-data; name="f"; filename="f.jpg"\r\nContent-Type: text/plain; charset="{FORGED}"',
        f'form-data; name="{FORGED}"; filename="{FORGED}"',
        f"form-data; name=f; filename*={FORGED}''f",
        f"{FORGED}",
    ],
)
async def test_a_part_of_an_upload_forges_nothing(
    api: Api, simulator: Simulator, stderr: io.StringIO, head: str
) -> None:
    login = await api.login(await simulator.code())
    body = f"--b\r\nContent-Disposition: {head}\r\n\r\nx\r\n--b--\r\n".encode()
    answer = await api.ask(
        "POST",
        "/me/avatar",
        data=body,
        headers={
            "sessionid": login.data["sessionid"],
            "Content-Type": "multipart/form-data; boundary=b",
        },
    )
    assert answer.status != 200
    assert "/me/avatar" in stderr.getvalue()
    assert_lines(stderr.getvalue())


async def test_what_a_stranger_sends_makes_no_line_long(api: Api, stderr: io.StringIO) -> None:
    await api.ask("A" * 7900, "/livez")
    await api.ask("GET", "/livez", headers={"X-Request-ID": "B" * 7900})
    await api.ask("GET", "/" + "C" * 7900)
    lines = [line for line in stderr.getvalue().splitlines() if "middleware" in line]
    assert len(lines) == 3
    assert max(len(line) for line in lines) < 160, lines


@pytest.mark.parametrize("path", ["/login", "/me", "/verify", "/%0a%1b[2J%e2%80%ae"])
async def test_neither_a_body_nor_a_header_nor_a_path_does(
    api: Api, stderr: io.StringIO, path: str
) -> None:
    escaped = FORGED.encode("unicode_escape").decode()
    for code in (FORGED, "\udc80", escaped):
        await api.ask("POST", path, json={"code": code, "appid": code, "device": code})
    headers = [("X-WX-Code", "\x1b[2J"), ("X-Request-ID", "a\tb"), ("Referer", "\udcff\x80")]
    await api.ask("GET", path, headers=[one for one in headers if "\x1b" not in one[1]])
    assert_lines(stderr.getvalue())


STRANGERS: tuple[tuple[str, str, Ask], ...] = (
    ("POST", "/logout", {"headers": {"sessionid": DEAD}}),
    ("POST", "/logout", {"headers": {"sessionid": "x"}}),
    ("GET", "/verify", {"headers": {"sessionid": DEAD}}),
    ("GET", "/weapp/user", {"headers": {"X-WX-Skey": DEAD}}),
    ("POST", "/me/avatar", {"headers": {"sessionid": DEAD}, "data": b"x"}),
    ("GET", "/internal/access-token", {"headers": {"Authorization": "Bearer x"}}),
    ("POST", "/login", {"data": b"{"}),
    ("POST", "/login", {"json": {"code": "x", "appid": "wxunknown"}}),
    ("GET", "/wx/onlogin", {"params": {"code": ""}}),
    ("GET", "/livez", {"data": b"x"}),
    ("GET", "/uploads/nothing.jpg", {}),
    ("GET", "/nothing", {}),
    ("TRACE", "/login", {}),
)


@pytest.fixture
async def usual(
    stderr: io.StringIO, settings: Callable[..., Settings], simulator: Simulator
) -> AsyncIterator[Api]:
    """The service with what it logs by default."""
    assert stderr.getvalue() == ""
    own = settings(wechat_api_base=(simulator.url,), wafer_compat=True, log_level="INFO")
    async with running_service(own) as running:
        yield running


async def test_strangers_write_no_line_for_each_request(
    usual: Api, simulator: Simulator, stderr: io.StringIO
) -> None:
    sessionid = (await usual.login(await simulator.code())).data["sessionid"]
    assert " login handle=" in stderr.getvalue()
    for method, path, ask in STRANGERS:
        before = len(stderr.getvalue())
        for _ in range(5):
            await usual.ask(method, path, **ask)
        written = stderr.getvalue()[before:]
        assert written.count("\n") < 2, written
    await usual.logout(sessionid)
    assert " logout handle=" in stderr.getvalue()
