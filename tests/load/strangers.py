"""`python -m tests.load.strangers`: invalid logins from one address, 200 at a time, for a minute.

Meanwhile others log in and back ends check sessions, as they did just before.
Prints what everybody was answered, and exits with 1 where an honest login was
refused, or where the checks' p99 is over twice the calm one's and 5 ms. What is
given as NAME=value are settings of the service.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import uvloop

from tests.bench.cores import cpu_seconds
from tests.bench.stage import stage
from tests.support.process import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.stage import Running

SECONDS: Final = float(os.environ.get("SECONDS", "60"))
STRANGERS: Final = 200
HONEST: Final = 16
BACK_ENDS: Final = 16
_STRANGE: Final = "203.0.113.7"
_LOGIN_EVERY: Final = 0.5
_CHECK_EVERY: Final = 0.08
_SETTLES_SECONDS: Final = 2.0
_AS_FAST_AS_WECHAT: Final = {"kind": "latency", "median_ms": 100, "tail_ms": 400}


@dataclass
class Seen:
    """What honest users and back ends were answered, and how soon, in milliseconds."""

    logins: Counter[int] = field(default_factory=Counter)
    checks: Counter[int] = field(default_factory=Counter)
    login_ms: list[float] = field(default_factory=list)
    check_ms: list[float] = field(default_factory=list)

    def say(self, when: str) -> None:
        """Print it."""
        print(
            f"{when:15} logins {dict(self.logins)} p99 {p99(self.login_ms):.0f} ms; "
            f"checks {dict(self.checks)} p50 {sorted(self.check_ms)[len(self.check_ms) // 2]:.1f} "
            f"p99 {p99(self.check_ms):.1f} ms",
            flush=True,
        )


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[len(values) * 99 // 100]


async def log_in(connection: Connection, code: str, address: str) -> tuple[int, bytes]:
    """The status and the body."""
    body = json.dumps({"code": code}).encode()
    reply = await connection.ask("POST", "/login", body=body, address=address)
    return reply.status, reply.body


async def flood(port: int) -> None:
    """Strangers who try one code after the other until this process is ended."""
    numbers = itertools.count()
    seen: Counter[int] = Counter()

    async def keep_trying() -> None:
        async with await Connection.open(port) as connection:
            while True:
                code = f"0{os.getpid()}wrong{next(numbers)}"
                seen[(await log_in(connection, code, _STRANGE))[0]] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(STRANGERS):
            group.create_task(keep_trying())
        while True:
            await asyncio.sleep(1)
            print(json.dumps(seen), flush=True)


async def honest(port: int, wechat: Running, seconds: float) -> Seen:
    """The rest of the world, for so long."""
    seen, over = Seen(), time.monotonic() + seconds
    loop = asyncio.get_running_loop()

    async def come_back(number: int) -> None:
        async with await Connection.open(port) as connection:
            while time.monotonic() < over:
                [code] = await loop.run_in_executor(None, codes_of, wechat, number)
                began = time.monotonic()
                status, _ = await log_in(connection, code, f"198.51.100.{number}")
                seen.login_ms.append((time.monotonic() - began) * 1000)
                seen.logins[status] += 1
                await asyncio.sleep(_LOGIN_EVERY)

    async def check(sessionid: str) -> None:
        async with await Connection.open(port) as connection:
            while time.monotonic() < over:
                began = time.monotonic()
                reply = await connection.ask("GET", "/verify", sessionid=sessionid)
                seen.check_ms.append((time.monotonic() - began) * 1000)
                seen.checks[reply.status] += 1
                await asyncio.sleep(_CHECK_EVERY)

    async with await Connection.open(port) as connection:
        _, body = await log_in(connection, codes_of(wechat, 1000)[0], "198.51.100.200")
    sessionid = json.loads(body)["data"]["sessionid"]
    await asyncio.gather(
        *(come_back(number) for number in range(HONEST)),
        *(check(sessionid) for _ in range(BACK_ENDS)),
    )
    return seen


def codes_of(wechat: Running, number: int) -> list[str]:
    """A login code of somebody's."""
    url = f"{wechat.url}/bench/codes?first={number}&count=1"
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 # ours
        codes: list[str] = json.loads(reply.read())
    return codes


def main(settings: Sequence[str]) -> int:
    """Start everything, and return the exit code."""
    more = dict(one.split("=", 1) for one in settings)
    with stage() as place:
        redis, wechat = place.redis(None), place.simulator(None)
        fault = json.dumps(_AS_FAST_AS_WECHAT).encode()
        urllib.request.urlopen(f"{wechat.url}/sim/faults", fault).close()  # noqa: S310 # ours
        server = place.minigate(
            None, redis=redis, wechat=wechat.url, workers=2, **{"PROXIES_COUNT": "1", **more}
        )
        port = server.port
        uvloop.run(honest(port, wechat, _SETTLES_SECONDS))
        calm = uvloop.run(honest(port, wechat, max(SECONDS / 3, 5)))
        calm.say("calm")
        command = [sys.executable, "-m", "tests.load.strangers", "--flood", str(port)]
        strangers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 # ours
        try:
            time.sleep(_SETTLES_SECONDS)
            busy = cpu_seconds(server.pid)
            beside = uvloop.run(honest(port, wechat, SECONDS))
            busy = (cpu_seconds(server.pid) - busy) / SECONDS
        finally:
            strangers.terminate()
            said, _ = strangers.communicate()
        beside.say("with strangers")
        print(f"strangers       {said.splitlines()[-1]}; MiniGate took {busy:.2f} cores")
    bound = 2 * p99(calm.check_ms) + 5
    held = set(beside.logins) == {200} and p99(beside.check_ms) <= bound
    print(f"checks' p99 may be {bound:.1f} ms:", "held" if held else "MISSED")
    return 0 if held else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flood"]:
        uvloop.run(flood(int(sys.argv[2])))
    sys.exit(main(sys.argv[1:]))
