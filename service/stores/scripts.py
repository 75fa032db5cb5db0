"""Runs the Lua scripts that change sessions, each fenced by a deadline.

A change that was answered as failed must never happen later: not when a frozen
Redis wakes up and works through its backlog, not when a retry overtakes. So
every script gets a deadline in the server's own time and refuses to run after
it, and a failure is reported to the caller only once that deadline has passed.
Every script may be run twice with the same effect, because a lost reply makes
the driver send it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError

from service.errors import SessionStoreUnavailable
from service.stores.server_clock import ServerClock

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from service.stores.outage import OutageLog

_MARGIN_MS: Final = 10
"""Timers fire up to a millisecond early, servers count whole ones, clocks drift."""
_SUCCESSES: Final = frozenset({b"stored", b"ended", b"renewed"})
_FOLDER: Final = Path(__file__).parent / "lua"


class Script:
    """The text of one Lua file and the SHA-1 by which Redis knows it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (_FOLDER / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """Runs scripts within a time budget and keeps the server's clock."""

    def __init__(self, redis: Redis, *, budget: float, outage: OutageLog) -> None:
        """`budget`: seconds a call may take, retries included."""
        self._redis = redis
        self._budget = budget
        self._outage = outage
        self.clock = ServerClock()

    async def synchronise(self) -> None:
        """Ask Redis for the time: also the cheapest proof that it answers.

        Raises SessionStoreUnavailable.
        """
        try:
            sent = time.monotonic()
            seconds, microseconds = await self._redis.time()
            server_ms = int(seconds) * 1000 + int(microseconds) // 1000
            self.clock.observe(server_ms, sent=sent, received=time.monotonic())
        except Exception as fault:
            self._outage.failed("TIME", fault)
            raise SessionStoreUnavailable from fault

    async def now_ms(self) -> int:
        """Milliseconds since the epoch by the clock of Redis."""
        if not self.clock.known:
            await self.synchronise()
        return self.clock.now_ms()

    async def run(
        self, script: Script, key: str, *args: str | bytes | int, confirms: str
    ) -> list[Any]:
        """Run `script` on `key` with a deadline as its first argument.

        Returns the reply: a status, the server's milliseconds, and what the
        script says. A success has to say `confirms`, or it is the reply to
        something else and counts as none. Raises SessionStoreUnavailable when
        it has not run, or may have run but did not answer, and from then on
        cannot run any more.
        """
        if not self.clock.known:
            await self.synchronise()
        give_up = time.monotonic() + self._budget
        try:
            async with asyncio.timeout(self._budget):
                while True:
                    sent, deadline = time.monotonic(), self.clock.now_ms(give_up) - _MARGIN_MS
                    reply = await self.repeatable(script, key, deadline, *args)
                    self.clock.observe(int(reply[1]), sent=sent, received=time.monotonic())
                    if reply[0] in _SUCCESSES and reply[2] != confirms.encode():
                        raise SessionStoreUnavailable
                    if reply[0] != b"late":
                        return list(reply)
                    # In time by our clock: the server's was set, and is known again by now.
        except Exception as fault:
            self._outage.failed(script.name, fault)
            await asyncio.sleep(give_up - time.monotonic())
            raise SessionStoreUnavailable from fault

    async def repeatable(self, script: Script, key: str, *args: str | bytes | int) -> Any:
        """Run a script that needs no fence; returns its reply and lets the driver's errors out."""
        try:
            return await self._redis.evalsha(script.sha, 1, key, *args)
        except NoScriptError:
            return await self._redis.eval(script.text, 1, key, *args)
