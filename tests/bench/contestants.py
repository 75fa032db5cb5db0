"""Who is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.stage import BUILD, REPOSITORY, node_program

if TYPE_CHECKING:
    from tests.bench.stage import Running, Stage

BARE: Final = "bare Sanic"
PLAIN: Final = "Sanic + redis-py"
FASTAPI: Final = "FastAPI + redis-py"
AIOHTTP: Final = "aiohttp + aiohttp-session"
EXPRESS: Final = "Express + node-redis"
FASTIFY: Final = "Fastify + ioredis"
MINIGATE: Final = "MiniGate"

_IN_PYTHON: Final = {
    BARE: "sanic_bare",
    PLAIN: "sanic_redis",
    FASTAPI: "fastapi_redis",
    AIOHTTP: "aiohttp_session_redis",
}
_IN_NODE: Final = {EXPRESS: "express_redis", FASTIFY: "fastify_redis"}
_PEERS: Final = REPOSITORY / "tests" / "bench" / "peers"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that runs, and how it is asked."""

    title: str
    server: Running

    @property
    def guards(self) -> bool:
        """Whether it looks at the session at all."""
        return self.title != BARE

    def session_header(self, sessionid: str) -> str:
        """How a client of this one sends its session id."""
        if self.title == AIOHTTP:
            return f"Cookie: AIOHTTP_SESSION={sessionid}"
        return f"sessionid: {sessionid}"


def start_all(stage: Stage, core: int, *, redis: Running, wechat: str) -> list[Contestant]:
    """Start everybody on one core: one at a time will have something to do."""
    commands = {
        title: [str(BUILD / "peers" / "bin" / "python"), "-m", f"tests.bench.peers.{module}"]
        for title, module in _IN_PYTHON.items()
    }
    if node := node_program():
        for title, module in _IN_NODE.items():
            commands[title] = [node, str(_PEERS / f"{module}.cjs")]
    found = [
        Contestant(
            title,
            stage.peer(
                core, command, redis=redis, wechat=wechat, name=command[-1].rpartition("/")[2]
            ),
        )
        for title, command in commands.items()
    ]
    return [*found, Contestant(MINIGATE, stage.minigate(core, redis=redis, wechat=wechat))]
