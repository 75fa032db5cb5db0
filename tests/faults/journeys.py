"""People on kept-alive connections, who repeat nothing: what fails is counted, by kind."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import orjson

from tests.support.process import Connection

if TYPE_CHECKING:
    from tests.support.process import Reply
    from tests.support.running import Simulator

_PATIENCE_SECONDS: Final = 15
"""Longer than anything that the service has to do may take."""


class Failed(Exception):
    """A request that got no answer, or the wrong one; the argument is its kind."""


class Journeys:
    """Each logs in, asks, changes their nickname, asks again and logs out, over and over."""

    def __init__(self, port: int, simulator: Simulator, *, people: int, per_second: int) -> None:
        """`port`: of whom they ask; `per_second`: requests of all of them together."""
        self._port = port
        self._simulator = simulator
        self._people = people
        self._pause = people / per_second
        self._over = False
        self.answered = 0
        self.slowest = 0.0
        """Seconds that an answer took at most."""
        self.failed: Counter[str] = Counter()
        self.last: list[str] = []
        """What failed last, in words."""

    @property
    def requests(self) -> int:
        """So far, failed ones included."""
        return self.answered + self.failed.total()

    async def run(self) -> None:
        """Until `stop` is called, and each has come to the end of a journey."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._people):
                group.create_task(_Person(self, f"person-{number}").go_on())

    def stop(self) -> None:
        self._over = True

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.failed.most_common())
        failed = f"{self.failed.total()} failed ({kinds or 'none'})"
        return f"{self.requests} requests, {failed}, slowest {self.slowest:.2f} s"


class _Person:
    def __init__(self, all_of_them: Journeys, name: str) -> None:
        self._all = all_of_them
        self._name = name
        self._user: str | None = None
        self._connection: Connection | None = None
        self._next = 0.0

    async def go_on(self) -> None:
        number = 0
        while not self._all._over:
            number += 1
            try:
                await self._journey(number)
            except Failed as fault:
                self._all.failed[str(fault.args[0])] += 1
                self._all.last = [*self._all.last[-20:], f"{fault.args}"]
                await asyncio.sleep(self._all._pause)
        self._hang_up()

    async def _journey(self, number: int) -> None:
        code = await self._all._simulator.code(self._name)
        login = orjson.loads((await self._ask("POST", "/login", body={"code": code})).body)["data"]
        sessionid, user = login["sessionid"], login["user"]["id"]
        self._user = self._user or user
        self._expect("login", user, self._user)
        nickname = f"name {number}"
        for _ in range(2):
            await self._verify(sessionid)
        changed = await self._ask("PATCH", "/me", sessionid, {"nickname": nickname})
        self._expect("PATCH", orjson.loads(changed.body)["data"]["nickname"], nickname)
        for _ in range(2):
            session = await self._ask("GET", "/session", sessionid)
            self._expect("session", orjson.loads(session.body)["data"]["user"]["id"], user)
            await self._verify(sessionid)
        gone = await self._ask("POST", "/logout", sessionid)
        self._expect("logout", orjson.loads(gone.body)["data"]["ended"], True)

    async def _verify(self, sessionid: str) -> None:
        answer = await self._ask("GET", "/verify", sessionid)
        self._expect("verify", answer.headers["x-auth-request-user"], self._user)

    def _expect(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            self._all.answered -= 1
            raise Failed("wrong", what, found, expected)

    async def _ask(
        self, method: str, path: str, sessionid: str | None = None, body: object = None
    ) -> Reply:
        await self._turn()
        sent = orjson.dumps(body) if body else b""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if self._connection is None:
                    self._connection = await Connection.open(self._all._port)
                reply = await self._connection.ask(method, path, sessionid=sessionid, body=sent)
        except (OSError, EOFError) as fault:  # a TimeoutError is one of the former
            opened = self._connection is not None
            self._hang_up()
            kind = "timeout" if isinstance(fault, TimeoutError) else "reset"
            at = f"{method} {path} after {time.monotonic() - began:.2f} s"
            raise Failed(kind if opened else "refused", at, repr(fault)) from fault
        if reply.headers.get("connection", "").lower() == "close":
            self._hang_up()
        if reply.status != 200:
            raise Failed(str(reply.status), f"{method} {path}", reply.body[:200])
        self._all.answered += 1
        self._all.slowest = max(self._all.slowest, time.monotonic() - began)
        return reply

    async def _turn(self) -> None:
        """Keep to the pace, without hurrying after a wait."""
        now = time.monotonic()
        self._next = max(self._next + self._all._pause, now)
        await asyncio.sleep(self._next - now)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        self._connection = None
