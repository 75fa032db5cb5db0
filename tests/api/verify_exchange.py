"""Sends questions to `/verify` and compares what two services make of them."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from service.http.deadlines import Deadlines, TimedProtocol
from service.http.protocol import AppProtocol
from service.logs import UnreadBodies
from tests.api.verify_requests import END, Ids
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from service.config.settings import Settings
    from service.core.models import Session
    from tests.api.verify_requests import Case
    from tests.support.running import Api, Simulator

LAST: Final = b"GET /livez HTTP/1.1\r\nHost: here\r\nConnection: close" + END
_AT_ONCE: Final = 64
_LONGEST: Final = 20.0
_QUIET: Final = 0.03
"""Seconds after which half a head is taken for unanswered; what comes then decides nothing."""
_ID: Final = re.compile(rb'(X-Request-ID: |"requestId":")([^\r"]*)')
_EXPIRES: Final = re.compile(rb'(X-Session-Expires-In: |"expiresIn":)(\d+)')
_ALLOW: Final = re.compile(rb"(?<=\r\nAllow: )[^\r]*")
_LOGGED: Final = re.compile(r"^[0-9a-f]{16}(?= )| \d+\.\dms$")


class OrdinaryProtocol(AppProtocol):
    """The connections of the service, as they were without the short way."""

    deadlines = Deadlines(rest=0.2)

    data_received = TimedProtocol.data_received


class ShortProtocol(AppProtocol):
    """Those that it has; `taken`: what was answered the short way."""

    deadlines = OrdinaryProtocol.deadlines
    taken: ClassVar[list[bytes]] = []

    def _answer(self, look: Any, session: Session) -> bool:
        answered = super()._answer(look, session)
        if answered:
            self.taken.append(look.data)
        return answered


@dataclass(frozen=True)
class Pair:
    """Two services over the same sessions."""

    short: Api
    ordinary: Api
    ids: Ids


@dataclass(frozen=True)
class Answers:
    """All that came on a connection until it ended."""

    text: bytes
    """Without what may differ."""
    expires: list[int]
    ended: bool


class Round(NamedTuple):
    """What a service answered to many, and what it wrote meanwhile."""

    answers: list[Answers]
    lines: list[str]
    short: list[bytes]
    """What was answered the short way."""
    at: float


@asynccontextmanager
async def two_services(
    settings: Callable[..., Settings], simulator: Simulator, **more: object
) -> AsyncIterator[Pair]:
    """One with the short way, one without."""
    own = settings(
        wechat_api_base=(simulator.url,),
        login_coalesce_ms=0,
        limit_dead_sessions_per_address="off",
        **more,
    )
    async with (
        running_service(own, ShortProtocol) as short,
        running_service(own, OrdinaryProtocol) as ordinary,
    ):
        pair = Pair(short, ordinary, await _ids(short, simulator))
        for api in (short, ordinary):  # which then know what time it is at Redis
            answer = await api.ask("GET", "/verify", headers={"sessionid": pair.ids.live})
            assert answer.status == 200
        yield pair


async def _ids(api: Api, simulator: Simulator) -> Ids:
    async def login(user: str) -> str:
        return str((await api.login(await simulator.code(user))).data["sessionid"])

    dead = {what: await login(what) for what in ("replaced", "kicked", "banned", "expired")}
    await login("replaced")
    handles = {what: sessionid.partition(".")[0] for what, sessionid in dead.items()}
    sessions = api.app.ctx.services.sessions
    await sessions.terminate(handles["kicked"], "kicked")
    await sessions.terminate(handles["banned"], "banned")
    await sessions.delete(handles["expired"])
    return Ids(await login("live"), await login("other"), dead)


async def ask_all(api: Api, cases: Iterable[Case]) -> Round:
    """Send each on a connection of its own, many at once."""
    port = int(api.url.rpartition(":")[2])
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(case: Case) -> Answers:
        async with room:
            return await _exchange(port, case)

    counted, began = api.app.ctx.short_answers, time.monotonic()
    ShortProtocol.taken.clear()
    with _log_lines() as lines:
        answers = await asyncio.gather(*map(ask, cases))
    taken = sorted(ShortProtocol.taken)
    assert api.app.ctx.short_answers - counted == len(taken)
    return Round(answers, sorted(lines), taken, began)


def differences(cases: Iterable[Case], one: Round, other: Round) -> list[str]:
    """Of the answers to the same cases, and of the log."""
    # So much later they were asked, and answered.
    apart = abs(other.at - one.at) + (time.monotonic() - max(one.at, other.at)) + 1
    found = [
        f"{case.name}: {case.raw[:300]!r}\n  {ours}\n  {theirs}"
        for case, ours, theirs in zip(cases, one.answers, other.answers, strict=True)
        if not _equal(ours, theirs, apart)
    ]
    if one.lines != other.lines:
        found.append(f"log: {set(one.lines) ^ set(other.lines)}")
    return found


def _equal(one: Answers, other: Answers, apart: float) -> bool:
    return (
        (one.text, one.ended) == (other.text, other.ended)
        and len(one.expires) == len(other.expires)
        and all(abs(a - b) <= apart for a, b in zip(one.expires, other.expires, strict=True))
    )


class _Client(asyncio.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.came = asyncio.Event()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.said += data
        self.came.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.came.set()
        self.ended.set()


async def _exchange(port: int, case: Case) -> Answers:
    """Send it; then, if the connection is to stay, a last request that ends it."""
    transport, client = await asyncio.get_running_loop().create_connection(
        _Client, "127.0.0.1", port
    )
    try:
        for segment in case.segments:
            if transport.is_closing():
                break
            transport.write(segment)
            for _ in range(4):  # in which it is read, mostly
                await asyncio.sleep(0)
        await _within(_LONGEST if END in case.raw else _QUIET, client.came)
        if b"connection: close\r\n" not in client.said and not transport.is_closing():
            transport.write(LAST)
        ended = await _within(_LONGEST, client.ended)
    finally:
        transport.abort()
    return _comparable(bytes(client.said), case.raw, ended=ended)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _comparable(said: bytes, raw: bytes, *, ended: bool) -> Answers:
    def name(match: re.Match[bytes]) -> bytes:
        return match[1] + (match[2] if match[2] in raw else b"<id>")

    text = _ID.sub(name, said)
    text = _ALLOW.sub(lambda allow: b", ".join(sorted(allow[0].split(b", "))), text)
    expires = [int(seconds) for _, seconds in _EXPIRES.findall(text)]
    return Answers(_EXPIRES.sub(rb"\1<n>", text), expires, ended)


@contextmanager
def _log_lines() -> Iterator[list[str]]:

    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = record.getMessage()
            if line != "expired":  # which is told once of each handle (docs/adr/0035)
                lines.append(_LOGGED.sub("", line))

    handler = Lines()
    handler.addFilter(UnreadBodies())
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)
