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

from service.core.errors import SessionStoreUnavailable

if TYPE_CHECKING:
    from service.redis.client import Keyspace
    from service.redis.node import Primary
    from service.stores.outage import OutageLog

_MARGIN_MS: Final = 10
"""Timers fire up to a millisecond early, servers count whole ones, clocks drift."""
_SUCCESSES: Final = frozenset({b"stored", b"ended", b"renewed"})
_FOLDER: Final = Path(__file__).parents[1] / "stores" / "lua"


class Script:
    """The text of one Lua file and the SHA-1 by which Redis knows it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (_FOLDER / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """Runs scripts within a time budget, by the clock of whichever server runs them."""

    def __init__(self, redis: Keyspace, *, outage: OutageLog) -> None:
        self._redis = redis
        self._budget = redis.budget
        self._outage = outage

    async def now_ms(self, key: str) -> int:
        """Milliseconds since the epoch by the clock of the key's server.

        Raises SessionStoreUnavailable.
        """
        known = self.known_now_ms(key)
        return (await self._synchronised(key)).clock.now_ms() if known is None else known

    def known_now_ms(self, key: str) -> int | None:
        """The same where it need not be asked for."""
        primary = self._redis.primaries.of(key)
        return primary.clock.now_ms() if primary and primary.clock.known else None

    async def run(
        self,
        script: Script,
        key: str,
        *args: str | bytes | int,
        confirms: str,
        lasting: bool = False,
    ) -> list[Any]:
        """Run `script` on `key` with a deadline as its first argument.

        Returns the reply: a status, the server's milliseconds, and what the
        script says. A success has to say `confirms`, or it is the reply to
        something else and counts as none. With `lasting` it counts only once
        as many replicas hold it as the settings ask for. Raises
        SessionStoreUnavailable when it has not run, or may have run but did not
        answer or is not held, and from then on cannot run any more.
        """
        give_up = time.monotonic() + self._budget

        async def attempt(primary: Primary, asking: bool) -> list[Any]:  # noqa: FBT001 # as `at` calls
            if not primary.clock.known:
                await primary.synchronise()
            # By this server's clock: another one's may differ by more than the budget.
            sent, deadline = time.monotonic(), primary.clock.now_ms(give_up) - _MARGIN_MS
            how = {"asking": asking, "give_up": give_up if lasting else None}
            reply = await self._send(primary, script, key, (deadline, *args), **how)  # type: ignore[arg-type] # as named
            primary.clock.observe(int(reply[1]), sent=sent, received=time.monotonic())
            return list(reply)

        try:
            async with asyncio.timeout(self._budget):
                while True:
                    reply = await self._redis.at(key, attempt)
                    if reply[0] in _SUCCESSES and reply[2] != confirms.encode():
                        raise SessionStoreUnavailable
                    if reply[0] != b"late":
                        return reply
                    # In time by our clock: the server's was set, and is known again by now.
        except Exception as fault:
            self._outage.failed(script.name, fault)
            await asyncio.sleep(give_up - time.monotonic())
            raise SessionStoreUnavailable from fault

    async def repeatable(self, script: Script, key: str, *args: str | bytes | int) -> Any:
        """Run a script that needs no fence; returns its reply and lets the driver's errors out."""
        async with asyncio.timeout(self._budget):
            return await self._redis.at(
                key, lambda primary, asking: self._send(primary, script, key, args, asking=asking)
            )

    async def _send(
        self,
        primary: Primary,
        script: Script,
        key: str,
        args: tuple[str | bytes | int, ...],
        *,
        asking: bool,
        give_up: float | None = None,
    ) -> Any:
        """`give_up`: by when replicas have to confirm, if they have to."""
        replicas = self._redis.replicas if give_up is not None else 0

        async def command(*words: str | bytes | int) -> Any:
            if give_up is None or not replicas:
                return await primary.execute(*words, asking=asking)
            return await primary.confirmed(
                *words, key=key, replicas=replicas, give_up=give_up, asking=asking
            )

        try:
            return await command("EVALSHA", script.sha, 1, key, *args)
        except NoScriptError:
            return await command("EVAL", script.text, 1, key, *args)

    async def _synchronised(self, key: str) -> Primary:
        async def attempt(primary: Primary, _asking: bool) -> Primary:  # noqa: FBT001 # as `at` calls
            await primary.synchronise()
            return primary

        try:
            return await self._redis.at(key, attempt)
        except Exception as fault:
            self._outage.failed("TIME", fault)
            raise SessionStoreUnavailable from fault
