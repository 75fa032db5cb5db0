"""Users who go on asking while servers die, and what they were told."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from service.core.models import handle_of
from service.simulator.state.identities import openid_of
from tests.support.running import Api, running_service
from tests.support.settings import APPID, make_settings
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.running import Answer, Simulator

UNAVAILABLE: Final = (503, 50300)
_DEAD: Final = {(401, 40101), (401, 40102)}


@asynccontextmanager
async def serving(
    url: str, simulator: Simulator, *, home: Path, empty_database: Path, **overrides: object
) -> AsyncIterator[Api]:
    """The service over the Redis at `url`, with users of its own; every login replaces."""
    shutil.copy(empty_database, home / "users.db")
    values: dict[str, object] = {
        "redis_url": url,
        "database_url": f"sqlite:///{home / 'users.db'}",
        "wechat_api_base": (simulator.url,),
        "login_coalesce_ms": 0,
        "log_level": "WARNING",
        **overrides,
    }
    async with (
        running_service(make_settings(**values)) as api,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        yield Api(api.url, http, api.app)


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> str:
    answer = await api.login(await simulator.code(user))
    assert answer.status == 200, answer
    return str(answer.data["sessionid"])


async def verify(api: Api, sessionid: str) -> tuple[tuple[int, int], str | None]:
    """What /verify says, and of whom."""
    answer = await api.ask("GET", "/verify", headers={"sessionid": sessionid})
    return outcome(answer), answer.headers.get("X-Auth-Openid")


def outcome(answer: Answer) -> tuple[int, int]:
    """Status and code; nought where the body is empty, as that of /verify may be."""
    return answer.status, answer.code if answer.body else 0


def pools_of(api: Api) -> list[Any]:
    """The pools of connections to every primary that is known."""
    nodes = api.app.ctx.services.sessions.redis.topology.nodes()
    return [node.driver.connection_pool for node in nodes]


@dataclass
class Mover:
    """A user who logs in again and again."""

    user: str
    current: str | None = None
    """The session of the last login that was answered 200."""
    uncertain: bool = False
    """Whether one that was answered 503 came after it: it may have happened."""
    replaced: list[str] = field(default_factory=list)

    @property
    def openid(self) -> str:
        return openid_of(appid=APPID, user=self.user)


class Load:
    """Some who stay logged in and are checked all the time, and some who move."""

    def __init__(self, api: Api, simulator: Simulator, *, movers: int = 6) -> None:
        self._api = api
        self._simulator = simulator
        self.steady: dict[str, str] = {}
        self.movers = [Mover(f"mover-{number}") for number in range(movers)]
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.revived = 0
        """Replaced sessions that were let in."""
        self.lost = 0
        """Sessions of those who stay that were refused."""
        self.undone = 0
        """Sessions of those who move that were refused though their login was answered 200."""
        self._last_refusal = {"check": 0.0, "login": 0.0}
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for number in range(60):
            user = f"steady-{number}"
            self.steady[openid_of(appid=APPID, user=user)] = await log_in(
                self._api, self._simulator, user
            )
        work = [self._check() for _ in range(8)] + [self._move(mover) for mover in self.movers]
        self._tasks = [asyncio.create_task(one) for one in work]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    @property
    def damage(self) -> str:
        return f"lost {self.lost}, undone {self.undone}, revived {self.revived}"

    def window(self, kind: str, *, since: float, watch: Stopwatch) -> float:
        """Seconds until the last 503 after `since`, less those that `watch` saw wasted."""
        return max(self._last_refusal[kind] - since - watch.waited, 0.0)

    async def calm(self, *, seconds: float, within: float, kinds: tuple[str, ...]) -> None:
        """Wait until nothing of these kinds has been refused for so long."""
        watch = Stopwatch()
        while any(time.monotonic() - self._last_refusal[kind] < seconds for kind in kinds):
            assert not watch.exceeds(within), f"still refused: {self.seen}"
            await asyncio.sleep(0.02)

    async def _check(self) -> None:
        while not self._stopping:
            sample = random.sample(list(self.steady.items()), 4)
            await asyncio.gather(*(self._check_one(*one) for one in sample))
            await asyncio.sleep(0.005)

    async def _check_one(self, openid: str, sessionid: str) -> None:
        came, shown = await verify(self._api, sessionid)
        self._count("check", came)
        if came[0] == 200 and shown != openid:
            self.wrong.append(f"{openid} was taken for {shown}")
        elif came in _DEAD:
            self.lost += 1
        elif came[0] not in {200, 503}:
            self.wrong.append(f"check: {came}")

    async def _move(self, mover: Mover) -> None:
        while not self._stopping:
            await self._log_in(mover)
            await self._look_back(mover)
            await asyncio.sleep(0.02)

    async def _log_in(self, mover: Mover) -> None:
        answer = await self._api.login(await self._simulator.code(mover.user))
        came = outcome(answer)
        self._count("login", came)
        if came == UNAVAILABLE:
            mover.uncertain = True
        elif came[0] != 200:
            self.wrong.append(f"login: {came}")
        else:
            if mover.current:
                mover.replaced.append(mover.current)
            mover.current, mover.uncertain = str(answer.data["sessionid"]), False
            if not mover.current.startswith(handle_of(APPID, mover.openid, "default")):
                self.wrong.append("login: another's session")

    async def _look_back(self, mover: Mover) -> None:
        """Try the session of the moment, the one before it and one of long ago."""
        if mover.current:
            came, shown = await verify(self._api, mover.current)
            self._judge(came, shown, mover)
            self.undone += came in _DEAD and not mover.uncertain
        for former in {*mover.replaced[-1:], *random.sample(mover.replaced, bool(mover.replaced))}:
            came, shown = await verify(self._api, former)
            self._judge(came, shown, mover)
            self.revived += came[0] == 200

    def _judge(self, came: tuple[int, int], shown: str | None, mover: Mover) -> None:
        self._count("check", came)
        if came[0] == 200 and shown != mover.openid:
            self.wrong.append(f"{mover.openid} was taken for {shown}")
        elif came[0] not in {200, 401, 503}:
            self.wrong.append(f"look back: {came}")

    def _count(self, kind: str, came: tuple[int, int]) -> None:
        self.seen[f"{kind} {came[0]}"] += 1
        if came[0] == 503:
            self._last_refusal[kind] = time.monotonic()
            if came not in {UNAVAILABLE, (503, 0)}:
                self.wrong.append(f"{kind}: {came}")
