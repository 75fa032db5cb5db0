"""The form that an avatar comes in: any that clients send, none that costs more than its bytes."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service.core.errors import RateLimited
from service.http.multipart import LONGEST_HEADER, MOST_HEADERS, MOST_PARTS
from service.pictures import decoder
from tests.support.pictures import (
    LARGEST,
    form,
    form_headers,
    honest,
    one_letter_form,
    part,
)
from tests.support.process import eventually
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

PICTURE = honest((90, 60))
FIELD = part(b"anything", filename=None)
FILE = part(PICTURE)
TYPE = "multipart/form-data; boundary="


@pytest.fixture
async def session(api: Api, simulator: Simulator) -> dict[str, str]:
    return {"sessionid": (await api.login(await simulator.code())).data["sessionid"]}


async def upload(
    api: Api, session: dict[str, str], body: Any, *, content_type: str = TYPE + "Frontier"
) -> Answer:
    headers = {**session, "Content-Type": content_type}
    if isinstance(body, bytes):
        body = io.BytesIO(body)  # which aiohttp sends a piece at a time
    return await api.ask("POST", "/me/avatar", data=body, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        form(FILE),
        form(FIELD, FILE, FIELD),
        form(*[FIELD] * (MOST_PARTS - 1), FILE),
        form(part(PICTURE, filename="")),
        form(part(PICTURE, filename="头像.png")),
        form(part(PICTURE, filename="a%22b;.png")),
        form(FILE).replace(b"tmp.png", "\u5934\u50cf.png".encode("gbk")),
        form(FILE).replace(b"tmp.png", b"\xd5\x5c"),  # whose second byte is a backslash
        form(FILE).replace(b'name="avatar"', b'name="\xff"'),
        form(part(PICTURE, filename=None)),
        form(FIELD, part(PICTURE, filename=None), FIELD),
        form(part(PICTURE, filename=None, more="Content-Type: image/jpeg\r\n"), FIELD),
        form(part("\u4f60\u597d".encode("gbk"), filename=None), FILE),
        form(part(b"x", filename=None, more="Content-Type: text/plain; charset=gbk\r\n"), FILE),
        form(part(b"x", filename=None, more="Content-Type: text/plain; charset=utf8mb4\r\n"), FILE),
        form(part(PICTURE, more=f"Content-Type: image/png\r\nContent-Length: {len(PICTURE)}\r\n")),
        form(part(PICTURE, more="X-One: 1\r\n" * (MOST_HEADERS - 1))),
        form(part(PICTURE, more=f"X-One: {'a' * (LONGEST_HEADER - 7)}\r\n")),
        b"\r\n" + form(FILE),
        form(FILE) + b"an epilogue",
        form(FILE).removesuffix(b"\r\n"),
    ],
)
async def test_a_form_with_one_file_is_taken(
    api: Api, session: dict[str, str], body: bytes
) -> None:
    changed = await upload(api, session, body)
    assert changed.status == 200, changed.body


@pytest.mark.parametrize(
    "boundary", ["a", "'()+_,./:=?", "a b", "-" * 70, "----WebKitFormBoundary7MA4YWxkTrZu0gW"]
)
async def test_a_boundary_may_be_what_the_standard_says(
    api: Api, session: dict[str, str], boundary: str
) -> None:
    body = form(part(PICTURE, boundary=boundary), boundary=boundary)
    changed = await upload(api, session, body, content_type=f'{TYPE}"{boundary}"; charset=utf-8')
    assert changed.status == 200, changed.body


@pytest.mark.parametrize("size", [1, 7, 1460])
async def test_a_form_may_come_in_any_pieces(api: Api, session: dict[str, str], size: int) -> None:
    body = form(FIELD, FILE)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    assert (await upload(api, session, pieces())).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"junk",
        form(),
        form(FIELD),
        form(FIELD, FIELD),
        form(part(b"")),
        form(part(b"", filename=None)),
        form(FILE, FILE),
        form(FILE).removesuffix(b"--\r\n"),  # cut off
        FILE,
        form(FILE).replace(b"\r\n", b"\n"),
        form(FILE).replace(b"--Frontier--", b"--FrontierX-"),
        form(*[FIELD] * MOST_PARTS, FILE),
        form(part(PICTURE, more="X-One: 1\r\n" * MOST_HEADERS)),
        form(part(PICTURE, more=f"X-One: {'a' * LONGEST_HEADER}\r\n")),
        form(part(PICTURE, more="X-One\r\n")),
        form(part(PICTURE, more="Content-Length: 5\r\n")),
        form(FILE).replace(b"form-data", b"attachment"),
        form(FILE, FIELD.replace(b"form-data", b"attachment")),
        form(FILE).replace(b"Content-Disposition", b"X-Disposition"),
    ],
)
async def test_any_other_form_is_refused(api: Api, session: dict[str, str], body: bytes) -> None:
    refused = await upload(api, session, body)
    assert (refused.status, refused.code, refused.data["field"]) == (400, 40000, "avatar")
    assert (await upload(api, session, form(FILE))).status == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (f"{TYPE}{'a' * 71}", 400),
        (f"{TYPE}", 400),
        (f'{TYPE}""', 400),
        (f'{TYPE}"a\x80"', 400),
        (f'{TYPE}"a "', 400),
        ("multipart/form-data", 400),
        ("multipart/form-datax; boundary=a", 415),
        ("multipart/mixed; boundary=a", 415),
        ("text/plain; x=multipart/form-data; boundary=a", 415),
    ],
)
async def test_a_form_says_where_its_parts_end(
    api: Api, session: dict[str, str], content_type: str, status: int
) -> None:
    refused = await upload(api, session, form(FILE), content_type=content_type)
    assert refused.status == status, refused.body
    if status == 400:
        assert refused.data["field"] == "Content-Type"
        assert "boundary" in refused.body["msg"] + str(refused.data)


@pytest.mark.parametrize("charset", ["\x1b[31mred", "utf-8\r\nERROR forged", "idna", "x" * 900])
async def test_what_a_form_says_of_itself_is_not_in_the_log(
    api: Api, session: dict[str, str], charset: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    more = f"Content-Type: text/plain; charset={charset}\r\n"
    for filename in (None, "tmp.png", charset):
        await upload(api, session, form(part(PICTURE, filename=filename, more=more), FILE))
    headers = form_headers() | session
    headers["Content-Type"] += f'; charset="{charset.partition(chr(13))[0].strip(chr(27))}"'
    await api.ask("POST", "/me/avatar", data=form(FILE), headers=headers)
    for told in ("[31m", "forged", "idna", "xxx"):
        assert told not in caplog.text


@asynccontextmanager
async def standstills() -> AsyncIterator[list[float]]:
    """Seconds of this thread's own work by which the event loop was late, each time it was."""
    found: list[float] = []

    async def watch() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            found.append(time.thread_time() - began)

    watching = asyncio.create_task(watch())
    yield found
    watching.cancel()


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (one_letter_form(), "Z"),
        (form(part(b"\r\n--" * (LARGEST // 4 - 9))), "Frontier"),
        (form(part(b"\r\n--Frontie" * (LARGEST // 11 - 9))), "Frontier"),
        (form(*[part(b"", filename=None, boundary="a")] * 30_000, boundary="a"), "a"),
        (b"--a\r\n" + b"a:\r\n" * (LARGEST // 4), "a"),
        (b"--a\r\na:" + b"a" * LARGEST, "a"),
        (b"\r\n" * (LARGEST // 2), "a"),
    ],
    ids=["one letter", "line ends", "all but the end", "parts", "headers", "header", "preamble"],
)
async def test_no_form_keeps_a_worker_from_the_others(
    api: Api, session: dict[str, str], body: bytes, boundary: str
) -> None:
    """It stood still for 1.9 s over the first."""
    async with standstills() as standing:
        refused = await upload(api, session, body, content_type=TYPE + boundary)
    assert refused.status == 400
    print(f"longest standstill {max(standing) * 1000:.1f} ms")  # noqa: T201 # a figure to keep
    assert max(standing) < 0.1


def hold(api: Api, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let no picture be decoded until it is set."""
    opened, pictures = asyncio.Event(), api.app.ctx.services.pictures
    decode = pictures.decode

    async def wait(raw: bytes) -> Any:
        await opened.wait()
        return await decode(raw)

    monkeypatch.setattr(pictures, "decode", wait)
    monkeypatch.setattr(decoder, "LONGEST_WAIT_SECONDS", 40)  # for busy machines
    return opened


async def test_a_user_uploads_one_picture_at_a_time(
    api: Api, simulator: Simulator, session: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = hold(api, monkeypatch)
    other = {"sessionid": (await api.login(await simulator.code("bob"))).data["sessionid"]}
    uploads = api.app.ctx.services.uploads
    first = asyncio.create_task(upload(api, session, form(FILE)))
    await eventually(lambda: len(uploads._users) == 1, within=5, what="the first is under way")
    second = await upload(api, session, form(FILE))
    assert (second.status, second.code, second.data) == (429, 42900, {"limit": "uploads_per_user"})
    assert second.headers["Retry-After"] == "1"
    others = asyncio.create_task(upload(api, other, form(FILE)))
    await eventually(lambda: len(uploads._users) == 2, within=5, what="another user's is too")
    opened.set()
    assert [(await one).status for one in (first, others)] == [200, 200]
    assert (await upload(api, session, form(FILE))).status == 200


async def test_each_upload_is_counted_before_it_is_read(
    api: Api, session: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    async def count(limit: str, who: str, *, cost: int = 1) -> None:
        counted.append((limit, who, cost))
        if len(counted) > 2:
            raise RateLimited("uploads_per_user", retry_after=1200)

    monkeypatch.setattr(api.app.ctx.services.uploads, "_limits", type("", (), {"count": count}))
    assert (await upload(api, session, form(FILE))).status == 200
    assert (await upload(api, session, b"junk")).status == 400
    refused = await upload(api, session, form(part(b"x" * LARGEST)))
    assert (refused.code, refused.data) == (42900, {"limit": "uploads_per_user"})
    assert refused.headers["Retry-After"] == "1200"
    assert [(limit, cost) for limit, _, cost in counted] == [("uploads_per_user", 1)] * 3
    assert len({who for _, who, _ in counted}) == 1


async def test_uploads_that_a_worker_has_no_memory_for_are_refused(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by their number: slow ones that hold little keep nobody out."""
    limited = settings(wechat_api_base=(simulator.url,), avatar_max_bytes=50_000)
    large = form(part(PICTURE + b"\0" * 45_000))
    async with running_service(limited) as api:
        opened = hold(api, monkeypatch)
        users = [
            {"sessionid": (await api.login(await simulator.code(f"user{n}"))).data["sessionid"]}
            for n in range(8)
        ]
        uploads = api.app.ctx.services.uploads
        waiting = [asyncio.create_task(upload(api, one, large)) for one in users[:6]]
        await eventually(lambda: uploads.bytes_left < 30_000, within=5, what="six are kept")
        busy = await upload(api, users[6], large)
        assert (busy.status, busy.code, busy.headers["Retry-After"]) == (503, 50312, "2")
        small = asyncio.create_task(upload(api, users[7], form(FILE)))
        await eventually(lambda: len(uploads._users) == 7, within=5, what="a small one is")
        opened.set()
        assert {(await one).status for one in (*waiting, small)} == {200}
        assert uploads.bytes_left == 6 * 50_000
        assert not uploads._users


async def test_who_is_refused_hears_it_though_they_are_still_sending(
    api: Api, session: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a connection that serves the next request too."""
    opened = hold(api, monkeypatch)
    first = asyncio.create_task(upload(api, session, form(FILE)))
    users = api.app.ctx.services.uploads._users
    await eventually(lambda: len(users) == 1, within=5, what="the first is under way")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        for _ in range(2):
            async with http.post(
                f"{api.url}/me/avatar",
                data=io.BytesIO(form(part(b"x" * LARGEST))),
                headers=session | form_headers(),
            ) as reply:
                assert reply.status == 429
        async with http.get(f"{api.url}/me", headers=session) as reply:
            assert reply.status == 200
    opened.set()
    assert (await first).status == 200
