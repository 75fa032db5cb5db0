"""What gateways, balancers and clients really send to `/verify`, byte for byte.

tests/api/gateway_heads/README.md says how each was recorded.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.support.running import Api, Simulator

RECORDED: Final = {
    file.stem: file.read_bytes()
    for file in sorted(Path(__file__).with_name("gateway_heads").glob("*.txt"))
}
NO_SESSION: Final = "haproxy-httpchk"
"""A check of health: without a header, in HTTP/1.0 without even a Host."""
BODY_NEVER_SENT: Final = {
    "nginx-body-promised",
    "nginx-body-promised-http-1.0",
    "haproxy-auth-request-chunk-promised",
}
"""Their heads speak of a body, which stays behind at the gateway."""
WITH_BODY: Final = BODY_NEVER_SENT | {
    "envoy-with-request-body",
    "haproxy-proxied-chunked",
    "nginx-proxied-post",
    "nginx-proxied-post-http-1.0",
    "traefik-forward-body-chunked",
    "traefik-forward-body-empty",
    "traefik-forward-body-post",
}
"""The only ones that do not take the short way."""
IN_CHUNKS: Final = {
    "haproxy-proxied-chunked",
    "traefik-forward-body-chunked",
    "traefik-forward-body-empty",
}
"""Of these bodies nobody looks for the end, so the connection is not kept."""
SERVED: Final = RECORDED.keys() - BODY_NEVER_SENT
DEAD: Final = "B" * 22 + "." + "A" * 43


class Told(NamedTuple):
    """An answer: its status, and who is calling."""

    status: int
    openid: str


def ask(name: str, sessionid: str) -> bytes:
    return RECORDED[name].replace(b"{sessionid}", sessionid.encode())


def may_end(name: str) -> bool:
    """Whether the connection need not be kept: Sanic keeps none that speaks of an upgrade."""
    if name in IN_CHUNKS:
        return True
    head = RECORDED[name].partition(b"\r\n\r\n")[0].lower()
    return any(one in head for one in (b" http/1.0", b"connection: close", b"connection: upgrade"))


async def opened(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))


async def next_answer(reader: asyncio.StreamReader, name: str) -> Told:
    """The next one on this connection to the question `name`; its body is read as well."""
    status, headers = 100, {}
    while status == 100:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status = int(head[0].split()[1])
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    if not RECORDED[name].startswith(b"HEAD "):
        await reader.readexactly(int(headers["content-length"]))
    assert ("www-authenticate" in headers) == (status == 401)
    return Told(status, headers.get("x-auth-openid", ""))


async def told(api: Api, name: str, sessionid: str, *, times: int = 1) -> list[Told]:
    """What a connection answers to the question, asked so many times at once."""
    reader, writer = await opened(api)
    writer.write(ask(name, sessionid) * times)
    try:
        async with asyncio.timeout(20):
            return [await next_answer(reader, name) for _ in range(times)]
    except (asyncio.IncompleteReadError, TimeoutError) as missing:
        missing.add_note(name)
        raise
    finally:
        writer.transport.abort()


@pytest.fixture
async def session(api: Api, simulator: Simulator) -> tuple[str, str]:
    """A live one: its id, and the openid in lower case."""
    sessionid = (await api.login(await simulator.code())).data["sessionid"]
    answer = await api.ask("GET", "/verify", headers={"sessionid": sessionid})
    return sessionid, answer.headers["X-Auth-Openid"].lower()


async def test_whoever_asks_for_a_live_session_is_told_who_is_calling(
    api: Api, session: tuple[str, str]
) -> None:
    sessionid, openid = session
    names = SERVED - {NO_SESSION}
    assert len(names) > 50
    before = api.app.ctx.short_answers
    assert {name: await told(api, name, sessionid) for name in names} == {
        name: [(200, openid)] for name in names
    }
    assert api.app.ctx.short_answers - before == len(names - WITH_BODY)


async def test_whoever_asks_for_a_dead_one_or_none_gets_a_401(api: Api) -> None:
    assert {name: await told(api, name, DEAD) for name in SERVED} == {
        name: [(401, "")] for name in SERVED
    }


async def test_a_connection_that_is_kept_answers_each_question_once(
    api: Api, session: tuple[str, str]
) -> None:
    """Also when they come at once, as HTTP lets them."""
    sessionid, openid = session
    kept = {name for name in SERVED if not may_end(name)}
    assert len(kept) > 40
    assert {name: await told(api, name, sessionid, times=3) for name in kept} == {
        name: [(200, openid)] * 3 for name in kept
    }


async def test_a_question_may_come_in_two_pieces(api: Api, session: tuple[str, str]) -> None:
    """Cut in the request line, before the id, in it, and in the end of the head."""
    sessionid, openid = session
    for name in SERVED - {NO_SESSION}:
        raw = ask(name, sessionid)
        place, end = raw.index(sessionid.encode()), raw.index(b"\r\n\r\n")
        for cut in (5, place, place + 30, end + 1, end + 3):
            assert await told_in_pieces(api, name, raw[:cut], raw[cut:]) == (200, openid), cut


async def told_in_pieces(api: Api, name: str, *pieces: bytes) -> Told:
    reader, writer = await opened(api)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.001)  # so that the kernel brings it alone
    try:
        async with asyncio.timeout(20):
            return await next_answer(reader, name)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("name", sorted(BODY_NEVER_SENT))
async def test_a_body_that_never_comes_is_not_waited_for(
    api: Api, session: tuple[str, str], name: str
) -> None:
    """And what comes next must not be taken for it: the connection ends."""
    sessionid, openid = session
    reader, writer = await opened(api)
    writer.write(ask(name, sessionid))
    try:
        async with asyncio.timeout(5):
            assert await next_answer(reader, name) == (200, openid)
            assert await reader.read() == b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/../livez",
        "/%2e%2e/livez",
        "/..%2flivez",
        "/api//",
        "/%FF",
        "/%00",
        "/;x?sessionid=a#b",
        "?..",
    ],
)
async def test_no_path_behind_verify_is_leave_to_pass(api: Api, path: str) -> None:
    """A gateway that puts the client's path there would take any 200 for it."""
    status = await status_of(api, f"GET /verify{path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert status in {400, 401, 404}


async def status_of(api: Api, raw: bytes) -> int:
    reader, writer = await opened(api)
    writer.write(raw)
    try:
        async with asyncio.timeout(20):
            return int((await reader.readuntil(b"\r\n")).split()[1])
    finally:
        writer.transport.abort()


async def test_two_ids_are_no_id(api: Api, session: tuple[str, str]) -> None:
    """As Envoy puts two lines into one."""
    sessionid, _ = session
    answer = await api.ask("GET", "/verify", headers={"sessionid": f"{sessionid},{sessionid}"})
    assert (answer.status, answer.code) == (401, 40104)
