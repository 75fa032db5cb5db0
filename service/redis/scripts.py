"""Runs Lua scripts on keys; those that change sessions are fenced by a deadline.

A change that was answered as failed must never happen later: not when a frozen
Redis wakes up and works through its backlog, not when a retry overtakes. So
such a script gets a deadline in the server's own time and refuses to run after
it (fence.lua), and a failure is reported to the caller only once that deadline
has passed. Every script may be run twice with the same effect, because a lost
reply makes the driver send it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import InvalidResponse, NoScriptError

from service.core.errors import SessionStoreUnavailable
from service.metrics.series import redis_seconds
from service.redis.errors import FAULTS, count_failure, describe, store_errors
from service.tracing import span

if TYPE_CHECKING:
    from service.redis.client import RedisClient
    from service.redis.node import Node

_MARGIN_MS: Final = 10
"""Timers fire up to a millisecond early, servers count whole ones, clocks drift."""
_SUCCESSES: Final = frozenset({b"stored", b"ended", b"renewed"})
_FENCE: Final = Path(__file__).with_name("fence.lua")
_TEXT_OF: Final = Path(__file__).with_name("text_of.lua")


class Script:
    """The text of a Lua file and the SHA-1 by which Redis knows it."""

    def __init__(self, path: Path, *, fenced: bool = True) -> None:
        """`fenced`: begin with fence.lua, which takes the first argument; all with text_of.lua."""
        self.name = path.stem
        parts = (*((_FENCE,) if fenced else ()), _TEXT_OF, path)
        self.text = "".join(part.read_text() for part in parts)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """Runs scripts within the client's timeout, by the clock of whichever server runs them.

    Raises SessionStoreUnavailable; the log has why.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self.prefix = client.prefix

    async def now_ms(self, key: str) -> int:
        """Milliseconds since the epoch by the clock of the key's server."""
        known = self.known_now_ms(key)
        return (await self._synced_node(key)).clock.now_ms() if known is None else known

    def known_now_ms(self, key: str) -> int | None:
        """The same where it need not be asked for; else None."""
        node = self._client.topology.node_of(key)
        return node.clock.now_ms() if node and node.clock.known else None

    async def run_fenced(
        self,
        script: Script,
        key: str,
        *args: str | bytes | int,
        expected_echo: str,
        wait_replicas: bool = False,
    ) -> list[Any]:
        """Run `script` on `key` with a deadline as its first argument.

        Returns the reply: a status, the server's milliseconds, and what the
        script says. A success has to say `expected_echo`, or it is the reply to
        something else and counts as none. With `wait_replicas` it counts only once
        as many of them hold it as the settings ask for. When it raises, the
        script may have run, without an answer or a confirmation; from then on it
        cannot run any more.
        """
        deadline = time.monotonic() + self._client.timeout
        replicas = self._client.replicas if wait_replicas else 0
        attempt = partial(self._attempt, script, key, args, deadline=deadline, replicas=replicas)
        in_time = not replicas and self.known_now_ms(key) is not None
        began = time.monotonic()
        try:
            while True:
                with span("redis", script.name):
                    reply = await self._client.on_node(
                        key, attempt, deadline=deadline, in_time=in_time
                    )
                if reply[0] in _SUCCESSES and reply[2:3] != [expected_echo.encode()]:
                    raise InvalidResponse("the reply to something else")
                if reply[0] != b"late":
                    redis_seconds.observe(time.monotonic() - began, script.name)
                    return reply
                # Late, but not by our clock: the server's was set. The reply has told it anew.
                in_time = False
        except FAULTS as fault:
            redis_seconds.observe(time.monotonic() - began, script.name)
            count_failure(script.name, fault)
            self._client.outage.failed(script.name, describe(fault))
            await asyncio.sleep(deadline - time.monotonic())
            raise SessionStoreUnavailable from fault

    async def run_idempotent(self, script: Script, key: str, *args: str | bytes | int) -> Any:
        """Run a script that needs no fence; returns its reply."""
        deadline = time.monotonic() + self._client.timeout
        send = partial(_send, script, key, args, deadline=deadline)
        with store_errors(self._client.outage, script.name):
            return await self._client.on_node(key, send, deadline=deadline, in_time=True)

    async def _attempt(
        self,
        script: Script,
        key: str,
        args: tuple[str | bytes | int, ...],
        node: Node,
        asking: bool,  # noqa: FBT001 # as `on_node` calls
        *,
        deadline: float,
        replicas: int,
    ) -> list[Any]:
        if not node.clock.known:
            await node.sync_clock()
        # By this server's clock: another one's may differ by more than the timeout.
        sent, last_ms = time.monotonic(), node.clock.now_ms(deadline) - _MARGIN_MS
        reply = await _send(
            script, key, (last_ms, *args), node, asking, deadline=deadline, replicas=replicas
        )
        match reply:
            case [bytes(), int(server_ms), *_]:
                node.clock.observe(server_ms, sent=sent, received=time.monotonic())
                return reply  # type: ignore[no-any-return] # a list
        raise InvalidResponse("the reply to something else")

    async def _synced_node(self, key: str) -> Node:
        async def sync(node: Node, _asking: bool) -> Node:  # noqa: FBT001 # as `on_node` calls
            await node.sync_clock()
            return node

        deadline = time.monotonic() + self._client.timeout
        with store_errors(self._client.outage, "TIME"):
            return await self._client.on_node(key, sync, deadline=deadline)


async def _send(
    script: Script,
    key: str,
    args: tuple[str | bytes | int, ...],
    node: Node,
    asking: bool,  # noqa: FBT001 # as `on_node` calls
    *,
    deadline: float,
    replicas: int = 0,
) -> Any:
    """The reply, by `deadline` where a second command is needed.

    `replicas`: how many have to hold its effect by then.
    """
    execute = node.execute
    if replicas:
        execute = partial(node.execute_and_wait, key=key, replicas=replicas, deadline=deadline)
    try:
        return await execute("EVALSHA", script.sha, 1, key, *args, asking=asking)
    except NoScriptError:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await execute("EVAL", script.text, 1, key, *args, asking=asking)
