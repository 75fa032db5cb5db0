"""Keys that are exchanged under load, and what the log keeps of logins."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from tests.support.effort import effort
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
)
from tests.support.settings import SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.figure import Figure
    from tests.support.process import Reply
    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.timeout(120)]

NEXT_KEY: Final = "next-key-canary-1f0b6a83d5e7c29480"
TTL: Final = effort(3, 6)
CLIENTS: Final = effort(4, 12)
EVENTS: Final = effort(200, 1000)


@dataclass
class Users:
    """They log in, check and open encrypted data without end, at whichever service serves now."""

    simulator: Simulator
    port: int = 0
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    over: bool = False

    async def live(self, name: str) -> None:
        while not self.over:
            sealed = None
            async with await Connection.open(self.port) as connection:
                login = await self._ask(connection, "POST", "/login", code=True, name=name)
                session = orjson.loads(login.body)["data"]["sessionid"]
            until = time.monotonic() + TTL - 1  # before it ends by itself
            while time.monotonic() < until and not self.over:
                async with await Connection.open(self.port) as connection:
                    await self._ask(connection, "GET", "/verify", session=session)
                    sealed = sealed or await self.simulator.profile(name)
                    body = {key: sealed[key] for key in ("encryptedData", "iv")}
                    await self._ask(connection, "POST", "/decrypt", session=session, body=body)
                await asyncio.sleep(0.01)

    async def _ask(
        self,
        connection: Connection,
        method: str,
        path: str,
        *,
        session: str | None = None,
        body: object = None,
        code: bool = False,
        name: str = "",
    ) -> Reply:
        if code:
            body = {"code": await self.simulator.code(name)}
        raw = orjson.dumps(body) if body else b""
        reply = await connection.ask(method, path, sessionid=session, body=raw)
        self.seen[path, reply.status] += 1
        return reply


@pytest.mark.bar("E4")
async def test_a_key_is_exchanged_under_load_and_nobody_notices(
    simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    rings = [SECRET_KEY, f"{NEXT_KEY},{SECRET_KEY}", NEXT_KEY]
    async with RedisServer() as redis, AsyncExitStack() as services:

        async def serve(ring: str) -> int:
            environment = complete_environment(
                redis=redis.url,
                wechat=simulator.url,
                SECRET_KEYS=ring,
                SESSION_TTL=str(TTL),
                LOGIN_COALESCE_MS="0",
                LIMIT_DECRYPT_PER_USER="off",
                REDIS_TIMEOUT_MS="2000",
            )
            service = ServiceProcess(environment, home=tmp_path)
            await services.enter_async_context(service)
            await service.ready()
            return service.port

        ports = [await serve(ring) for ring in rings]
        users = Users(simulator, ports[0])
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(users.live(f"user-{number}"))
            await asyncio.sleep(1.5)
            users.port = ports[1]
            # The former key goes when nothing is sealed by it any more.
            await asyncio.sleep(TTL + 0.5)
            users.port = ports[2]
            await asyncio.sleep(1.5)
            users.over = True
        # Who is there with a key that is gone is told so, and that is all.
        async with await Connection.open(ports[0]) as former:
            body = orjson.dumps({"code": await simulator.code("late")})
            login = await former.ask("POST", "/login", body=body)
        session = orjson.loads(login.body)["data"]["sessionid"]
        sealed = await simulator.profile("late")
        async with await Connection.open(ports[2]) as connection:
            checked = await connection.ask("GET", "/verify", sessionid=session)
            opened = await connection.ask(
                "POST",
                "/decrypt",
                sessionid=session,
                body=orjson.dumps({key: sealed[key] for key in ("encryptedData", "iv")}),
            )
    wrong = {one: count for one, count in users.seen.items() if one[1] != 200}
    figure(f"{sum(wrong.values())} of {users.seen.total()} answers were not 200")
    assert not wrong
    assert users.seen["/decrypt", 200] > 50
    assert (checked.status, opened.status) in {(200, 400), (401, 401)}


@pytest.mark.bar("E7")
async def test_each_login_and_logout_is_a_line_and_nothing_else_is(
    simulator: Simulator, tmp_path: Path, figure: Figure
) -> None:
    done = Counter[str]()
    secrets = set[str]()
    async with RedisServer() as redis:
        environment = complete_environment(
            redis=redis.url, wechat=simulator.url, LOGIN_COALESCE_MS="0", REDIS_TIMEOUT_MS="2000"
        )
        async with ServiceProcess(environment, home=tmp_path) as service:
            await service.ready()
            async with await Connection.open(service.port) as connection:
                for number in range(EVENTS // 4):
                    code = await simulator.code(f"user-{number % 7}")
                    for sent in (
                        code,
                        f"0made-up\r\nINFO service.core.login login handle={number}",
                    ):
                        body = orjson.dumps({"code": sent})
                        reply = await connection.ask("POST", "/login", body=body)
                        done["login" if reply.status == 200 else "refused"] += 1
                        if reply.status == 200:
                            session = str(orjson.loads(reply.body)["data"]["sessionid"])
                            secrets |= {code, session, session.partition(".")[2]}
                    for _ in range(2):
                        reply = await connection.ask("POST", "/logout", sessionid=session)
                        ended = orjson.loads(reply.body)["data"]["ended"]
                        done["logout" if ended else "ended before"] += 1
            lines = service.output.splitlines()
    assert set(done.values()) == {EVENTS // 4}
    logged = Counter(
        line.split()[3] for line in lines if line.split()[2:3] == ["service.stores.events"]
    )
    figure(f"{EVENTS} events: {dict(logged)} logged")
    told = {"login": done["login"], "logout": done["logout"], "login_refused": done["refused"]}
    assert logged == told
    for line in lines:
        assert not any(secret in line for secret in secrets)
        assert "made-up" not in line
        if " service.stores.events login" in line:
            assert line.startswith("20"), "when it was"
            assert "+0000" in line.split()[0], "in UTC"
            assert "handle=" in line or "reason=login_code_invalid:40029" in line
