"""Requests with bytes changed, cut and moved: no fault of ours, no hang, no memory lost."""

from __future__ import annotations

import asyncio
import io
import random
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

import orjson
import pytest
from PIL import Image

from service.core.errors import InternalError, error_classes
from tests.support.effort import effort
from tests.support.process import LINUX_ONLY, Connection, ServiceProcess, complete_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.dev.embedded_redis import EmbeddedRedis
    from tests.support.figure import Figure
    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

REQUESTS: Final = effort(2_000, 40_000)
AT_ONCE: Final = 64
PATIENCE_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 15.0
"""Longer than the service lets a body take."""
SPARE_BYTES: Final = 20 * 1024 * 1024
DOCUMENTED: Final = {code: one.status for code, one in error_classes().items()}
LENGTH: Final = re.compile(rb"Content-Length: \d+")
STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
MULTIPART: Final = "multipart/form-data; boundary="
CHUNKED: Final = (
    b"POST /logout HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n"
)

SPICES: Final = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b";", b",", b'"', b"{", b"[",
    b"%00", b"%", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", "٣".encode(), "😀".encode(), b"-1", b"0",
    b"9" * 40, b"1e999", b"null", b"true", b"\\ud800", b"\\u0000", b"../", b"?", b"#", b"*",
    b"A" * 9000, b"[" * 2000, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"HTTP/1.0",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)  # fmt: skip


class Seen(NamedTuple):
    """What became of one request."""

    answers: bytes
    hung: bool


def mutate(raw: bytes, moment: random.Random) -> bytes:
    """One to four changes, of the kinds that parsers stumble over."""
    for _ in range(moment.randint(1, 4)):
        at, to = sorted(moment.randrange(len(raw) + 1) for _ in range(2))
        to = min(to, at + moment.choice((1, 4, 60, len(raw))))
        spice = moment.choice(SPICES)
        raw = (
            moment.choice(
                (
                    raw[:at] + spice + raw[at:],
                    raw[:at] + spice + raw[to:],
                    raw[:at] + raw[to:],
                    raw[:to] + raw[at:],
                    raw[:at] + bytes((moment.randrange(256),)) + raw[at + 1 :],
                    raw[:at] + raw[at:to] * 3 + raw[to:],
                    raw[at:] + raw[:at],
                    raw[:at],
                )
            )
            or b"\r"
        )
    return raw


def mutate_inside(raw: bytes, moment: random.Random) -> bytes:
    """The same where parsers of HTTP do not look: in the body, or else in the address."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if body and LENGTH.search(head):
        body = mutate(body, moment)
        return LENGTH.sub(b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body
    method, target, rest = raw.split(b" ", 2)
    odd = quote(mutate(target, moment)[:2000], safe="/?&=%")
    return b" ".join((method, b"/" + odd.encode().lstrip(b"/"), rest))


def faults_in(answers: bytes) -> list[str]:
    """What no client may be told, however odd its request was."""
    found = []
    for part in re.split(rb"(?=HTTP/1\.1 \d{3} )", answers)[1:]:
        status = int(part[9:12])
        body = part.partition(b"\r\n\r\n")[2]
        try:
            code = orjson.loads(body)["code"] if status >= 500 else 0
        except (ValueError, KeyError, TypeError):
            code = -1
        if code == InternalError.code or (status >= 500 and DOCUMENTED.get(code) != status):
            found.append(f"{status}: {body[:200]!r}")
    return found


def test_what_no_client_may_be_told_is_found() -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n\r\n%b"
    assert faults_in(head % (500, b'{"code": 50000}'))
    assert faults_in(head % (500, b"Internal Server Error"))
    assert faults_in(head % (200, b"{}") + head % (502, b'{"code": 50300}'))
    assert not faults_in(head % (503, b'{"code": 50300}') + head % (400, b"nonsense"))


async def exchange(port: int, raw: bytes) -> Seen:
    """Send `raw` on a connection of its own, and read until the service ends that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = bytearray()
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            writer.write(raw)
            with suppress(OSError):
                await writer.drain()
                with suppress(TimeoutError):  # half a request has no answer to be waited for
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        answers += await reader.read(65536)
                writer.write_eof()
                while part := await reader.read(65536):
                    answers += part
    except TimeoutError:
        return Seen(bytes(answers), hung=True)
    finally:
        writer.transport.abort()
    return Seen(bytes(answers), hung=False)


def memory_of(service: ServiceProcess) -> int:
    """Bytes that the workers hold."""
    pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in service.workers)
    return sum(int(count) * 4096 for count in pages)


def http(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "JPEG")
    return file.getvalue()


async def seeds(
    simulator: Simulator, log_in: Callable[[str], object]
) -> Callable[[random.Random], bytes]:
    """Makes requests that would be served, each with what it needs."""
    sessionid = str(await log_in(await simulator.code("mutant")))  # type: ignore[misc] # a coroutine
    profile, phone = await simulator.profile("mutant"), await simulator.phone("mutant")
    header = f"sessionid: {sessionid}"
    boundary = "----minigate"
    form = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="avatar"; filename="a.jpg"\r\n'
            f"Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + picture()
        + f"\r\n--{boundary}--\r\n".encode()
    )
    login = orjson.dumps({"code": "c0de", **profile})
    opened = orjson.dumps({"encryptedData": phone["encryptedData"], "iv": phone["iv"]})
    whole = [
        http("POST", "/login", login, "Idempotency-Key: 1", "Content-Type: application/json"),
        http("POST", "/login/phone", orjson.dumps({"code": phone["code"], "loginCode": "c0de"})),
        http("GET", "/wx/onlogin?code=c0de&device=default"),
        http("GET", "/session", b"", header, "Accept: application/problem+json"),
        http("GET", "/verify/some/path?x=1", b"", header),
        http("POST", "/logout", b"", header[:-3]),
        http("GET", "/me", b"", header, "Accept-Language: en"),
        http("PATCH", "/me", orjson.dumps({"nickname": "小明"}), header),
        http("GET", "/me/export", b"", f"Authorization: Bearer {sessionid}"),
        http("PUT", "/me/phone", opened, header),
        http("POST", "/decrypt", opened, header),
        http("POST", "/me/avatar", form, header, f"Content-Type: {MULTIPART}{boundary}"),
        http("GET", "/uploads/default-avatar.png"),
        http("GET", "/internal/access-token", b"", "Authorization: Bearer x"),
        CHUNKED,
        http("GET", "/livez") + http("GET", "/readyz"),
    ]
    return lambda moment: moment.choice(whole)


@pytest.mark.bar("D1")
async def test_none_is_answered_with_a_fault_or_not_at_all_or_keeps_memory(
    redis_server: EmbeddedRedis, simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    environment = complete_environment(redis=redis_server.url, wechat=simulator.url)
    async with ServiceProcess({**environment, "WEB_CONCURRENCY": "2"}, home=tmp_path) as service:
        await service.ready()

        async def log_in(code: str) -> str:
            async with await Connection.open(service.port) as connection:
                reply = await connection.ask("POST", "/login", body=orjson.dumps({"code": code}))
            return str(orjson.loads(reply.body)["data"]["sessionid"])

        made = await seeds(simulator, log_in)
        moment = random.Random(20261126)
        statuses = await send_many(service, made, moment, REQUESTS // 4)  # what is loaded once, is
        before = memory_of(service)
        statuses += await send_many(service, made, moment, REQUESTS - REQUESTS // 4)
        grown = memory_of(service) - before
        figure(f"{REQUESTS} sent, {statuses.total()} answers, {grown / 1e6:.1f} MB more")
        # Enough of each gets past the first parser.
        assert statuses.total() > REQUESTS * 0.6, statuses
        assert all(statuses[one] > REQUESTS / 200 for one in (200, 400, 401, 404)), statuses
        assert grown < SPARE_BYTES, f"{grown / 1e6:.1f} MB more"
        sessionid = await log_in(await simulator.code("afterwards"))
        async with await Connection.open(service.port) as connection:
            assert (await connection.ask("GET", "/verify", sessionid=sessionid)).status == 200


async def send_many(
    service: ServiceProcess,
    made: Callable[[random.Random], bytes],
    moment: random.Random,
    count: int,
) -> Counter[int]:
    """Send so many mutants, and judge each; returns how often there was which status."""
    left, statuses = iter(range(count)), Counter[int]()

    async def keep_sending() -> None:
        for _ in left:
            change = moment.choice((mutate, mutate_inside))
            raw = change(made(moment), moment)
            seen = await exchange(service.port, raw)
            assert not seen.hung, raw[:4000]
            assert not (found := faults_in(seen.answers)), (found, raw[:4000])
            statuses.update(int(one) for one in STATUS.findall(seen.answers))

    await asyncio.gather(*(keep_sending() for _ in range(AT_ONCE)))
    return statuses


@pytest.mark.parametrize("seed", range(3))
def test_a_mutant_differs_and_can_be_made_again(seed: int) -> None:
    raw = http("GET", "/livez")
    made = [mutate(raw, random.Random(seed * 100 + n)) for n in range(50)]
    assert made == [mutate(raw, random.Random(seed * 100 + n)) for n in range(50)]
    assert sum(one != raw for one in made) >= 45
