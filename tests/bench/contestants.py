"""Who is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.stage import BUILD, REPOSITORY, node_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.stage import Running, Stage

BARE: Final = "bare Sanic"
PLAIN: Final = "Sanic + redis-py"
FASTAPI: Final = "FastAPI + redis-py"
AIOHTTP: Final = "aiohttp + aiohttp-session"
EXPRESS: Final = "Express + node-redis"
FASTIFY: Final = "Fastify + ioredis"
ANSWERER: Final = "a server that only answers"
MINIGATE: Final = "MiniGate"
UNCOUNTED: Final = "MiniGate without metrics"
FASTAPI_SQL: Final = "FastAPI + redis-py + SQLite"
EXPRESS_SQL: Final = "Express + node-redis + SQLite"
FASTIFY_SQL: Final = "Fastify + ioredis + SQLite"

_IN_PYTHON: Final = {
    BARE: "sanic_bare",
    PLAIN: "sanic_redis",
    FASTAPI: "fastapi_redis",
    AIOHTTP: "aiohttp_session_redis",
}
_IN_NODE: Final = {EXPRESS: "express_redis", FASTIFY: "fastify_redis"}
_WITH_ACCOUNTS: Final = {FASTAPI: FASTAPI_SQL, EXPRESS: EXPRESS_SQL, FASTIFY: FASTIFY_SQL}
UNGUARDED: Final = frozenset({BARE, ANSWERER})
"""Who looks at no session."""
WITH_ACCOUNTS: Final = frozenset(_WITH_ACCOUNTS.values())
_PEERS: Final = REPOSITORY / "tests" / "bench" / "peers"
_UNCOUNTED: Final = REPOSITORY / "tests" / "bench" / "uncounted"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that runs, and how it is asked."""

    title: str
    server: Running
    login_path: str = "/login"
    accounts: Path | None = None
    """Where a peer keeps its users."""

    @property
    def guards(self) -> bool:
        """Whether it looks at the session at all."""
        return self.title not in UNGUARDED

    @property
    def has_accounts(self) -> bool:
        """Whether a login finds or makes a user in SQL."""
        return self.title == MINIGATE or self.accounts is not None

    def session_header(self, sessionid: str) -> str:
        """How a client of this one sends its session id."""
        if self.title == AIOHTTP:
            return f"Cookie: AIOHTTP_SESSION={sessionid}"
        return f"sessionid: {sessionid}"


@dataclass(frozen=True, slots=True)
class Everybody:
    """Who takes part in what."""

    validate: list[Contestant]
    login: list[Contestant]
    """Some peers twice: as the tutorials have it, and with accounts."""
    answerer: Contestant
    """What latency there is without a service."""
    uncounted: Contestant
    """Ours, counting nothing."""


def start_all(stage: Stage, core: int, *, redis: Running, wechat: str) -> Everybody:
    """Start everybody on one core: one at a time will have something to do."""
    peers, with_accounts = [], []
    for title, command in _commands().items():
        name = command[-1].rpartition("/")[2]
        server = stage.peer(core, command, redis=redis, wechat=wechat, name=name)
        peers.append(Contestant(title, server))
        if title in _WITH_ACCOUNTS:
            users = stage.home / f"{name}.db"
            again = Contestant(_WITH_ACCOUNTS[title], server, "/accounts/login", users)
            with_accounts.append(again)
    ours = Contestant(MINIGATE, stage.minigate(core, redis=redis, wechat=wechat))
    return Everybody(
        validate=[*peers, ours],
        login=[*peers, *with_accounts, ours],
        answerer=Contestant(ANSWERER, stage.answerer(core)),
        uncounted=Contestant(UNCOUNTED, _uncounted(stage, core, redis, wechat)),
    )


def _uncounted(stage: Stage, core: int, redis: Running, wechat: str) -> Running:
    path = f"{_UNCOUNTED}:{REPOSITORY}"
    return stage.minigate(core, redis=redis, wechat=wechat, name="uncounted", PYTHONPATH=path)


def _commands() -> dict[str, list[str]]:
    python = str(BUILD / "peers" / "bin" / "python")
    commands = {
        title: [python, "-m", f"tests.bench.peers.{module}"] for title, module in _IN_PYTHON.items()
    }
    if node := node_program():
        for title, module in _IN_NODE.items():
            commands[title] = [node, str(_PEERS / f"{module}.cjs")]
    return commands
