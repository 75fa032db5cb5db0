"""The user of config/redis-acl.conf may do what the service does: no more, and no less."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis

from service.core.outage import Outage
from service.redis.connect import open_client
from tests.support.ports import free_ports
from tests.support.process import LINUX_ONLY, REPOSITORY
from tests.support.redis_servers import HABITS, RedisProcess, RedisServers, until
from tests.support.running import running_service
from tests.support.settings import APPID, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.redis_cluster import RedisCluster
    from tests.support.running import Api, Simulator

pytestmark = LINUX_ONLY

FILE: Final = REPOSITORY / "config" / "redis-acl.conf"
PASSWORD: Final = "acl-password-canary"
DIGEST: Final = hashlib.sha256(PASSWORD.encode()).hexdigest()
TEXT: Final = FILE.read_text().replace("#SHA256_OF_THE_PASSWORD", f"#{DIGEST}")
[USER] = [line.split()[1:] for line in TEXT.splitlines() if line.startswith("user ")]
ALLOWED: Final = {word[1:].partition("|")[0] for word in USER if word.startswith("+")}
INTERNAL_TOKEN: Final = "internal-token-canary-0123456789abcdef"


class Pair(RedisServers):
    """A primary with a replica, set up by a redis.conf that includes the file."""

    async def _start(self) -> None:
        first, second = free_ports(2)
        (self.home / "acl.conf").write_text(TEXT)
        config = self.home / "redis.conf"
        config.write_text(f"include {self.home}/acl.conf\n")
        for port in (first, second):
            of = ("--replicaof", "127.0.0.1", str(first)) if port != first else ()
            node = RedisProcess(self.home / str(port), port, *HABITS, *of, config=str(config))
            self.nodes.append(node)
            node.start()
            await until(lambda one=node: one.answers, within=5, what="redis-server answers")  # type: ignore[misc] # bound now
        await until(
            lambda: len(self.replicas_of(self.nodes[0])) == 1, within=10, what="the replica follows"
        )


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with Pair() as running:
        yield running


async def live(api: Api, simulator: Simulator) -> None:
    """Everything that users, gateways and operators do."""
    first = await api.login(await simulator.code(), key="one-key")
    assert first.status == 200, first.body
    session = {"sessionid": first.data["sessionid"]}
    code = await simulator.code()
    for _ in range(2):  # the second time it is repeated
        shared = await api.login(code, key="another-key")
        assert shared.status == 200
    for method, path, body in [
        ("GET", "/session", None),
        ("GET", "/verify", None),
        ("GET", "/me", None),
        ("PATCH", "/me", {"nickname": "小明"}),
        ("PUT", "/me/phone", {"code": (await simulator.phone())["code"]}),
        ("POST", "/decrypt", _encrypted(await simulator.profile())),
        ("POST", "/decrypt", {"encryptedData": "AAAA", "iv": "AAAAAAAAAAAAAAAAAAAAAA=="}),
        ("GET", "/me/export", None),
        ("GET", "/readyz", None),
    ]:
        answer = await api.ask(method, path, headers=session, json=body)
        assert answer.status in {200, 400}, (path, answer.body)
        assert answer.status == 200 or "AAAA" in str(body)
    bearer = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
    assert (await api.ask("GET", "/internal/access-token", headers=bearer)).status == 200

    phone = (await simulator.phone("bob"))["code"]
    both = {"code": phone, "loginCode": await simulator.code("bob")}
    assert (await api.ask("POST", "/login/phone", json=both)).status == 200
    refused = await api.login("no code of WeChat's")
    assert refused.code == 40001

    sessions = api.app.ctx.services.sessions
    assert await sessions.terminate(session["sessionid"].partition(".")[0], "kicked")
    assert (await api.session(session["sessionid"])).code == 40103
    await sessions.lift_ban(session["sessionid"].partition(".")[0])
    for ending in (("POST", "/logout"), ("DELETE", "/me")):
        again = {"sessionid": (await api.login(await simulator.code("carol"))).data["sessionid"]}
        assert (await api.ask(*ending, headers=again)).status == 200
        assert (await api.session(again["sessionid"])).status == 401
    await api.app.ctx.services.limits.count("failed_decrypt_per_user", "somebody")
    history = api.app.ctx.services.event_history
    async with asyncio.timeout(5):
        while not await history.live_sessions(APPID):  # written a moment later
            await asyncio.sleep(0.05)
    assert bool(await history.find(event="login")) is bool(api.app.ctx.settings.events_kept)


def _encrypted(profile: dict[str, str]) -> dict[str, str]:
    return {name: profile[name] for name in ("encryptedData", "iv")}


@asynccontextmanager
async def serving(
    settings: Callable[..., Settings], simulator: Simulator, url: str, **overrides: object
) -> AsyncIterator[Api]:
    own = settings(
        redis_url=url,
        redis_timeout_ms=2000,
        wechat_api_base=(simulator.url,),
        internal_token=INTERNAL_TOKEN,
        **overrides,
    )
    async with running_service(own) as api:
        yield api


def used(nodes: Sequence[RedisProcess]) -> set[str]:
    """Every command that the servers have seen, in scripts as well."""
    stats: list[dict[str, Any]] = [node.client.info("commandstats") for node in nodes]
    return {name.removeprefix("cmdstat_").partition("|")[0] for one in stats for name in one}


def denied(nodes: Sequence[RedisProcess]) -> list[Any]:
    return [entry for node in nodes for entry in node.client.acl_log()]


async def live_with_one_server(
    pair: Pair, settings: Callable[..., Settings], simulator: Simulator
) -> set[str]:
    primary = pair.nodes[0]
    url = f"redis://minigate:{PASSWORD}@{primary.address}/1"
    sliding = {"session_renewal": "sliding", "session_ttl": 1, "session_max_age": 60}
    async with serving(settings, simulator, url, session_confirm_replicas=1) as api:
        await live(api, simulator)
    async with serving(settings, simulator, url, **sliding) as api:
        sessionid = (await api.login(await simulator.code("dora"))).data["sessionid"]
        await asyncio.sleep(0.6)  # less than half of it is left
        assert (await api.session(sessionid)).status == 200
        await asyncio.sleep(0.6)
        assert (await api.session(sessionid)).status == 200
    assert denied([primary]) == []
    return used([primary])


async def ask_in_passing(url: str) -> None:
    """What is done for a key that is just moving from one node to another."""
    client = open_client(make_settings(redis_url=url), Outage("redis"))
    node = await client.topology.find_node("minigate:x")
    assert await node.execute("GET", "minigate:x", asking=True) is None
    await client.aclose()


async def live_with_a_cluster(
    cluster: RedisCluster,
    settings: Callable[..., Settings],
    simulator: Simulator,
    user: Sequence[str] = USER,
    **overrides: object,
) -> set[str]:
    nodes = cluster.nodes
    for node in nodes:
        if node.client.role()[0] in {b"master", "master"}:
            node.client.flushall()
        node.client.execute_command("ACL", "SETUSER", *user)
        node.client.acl_log_reset()
        node.client.config_resetstat()
    try:
        url = cluster.url.replace("://", f"://minigate:{PASSWORD}@")
        async with serving(settings, simulator, url, **overrides) as api:
            await live(api, simulator)
        await ask_in_passing(url)
        assert denied(nodes) == []
        return used(nodes)
    finally:
        for node in nodes:
            node.client.execute_command("ACL", "DELUSER", "minigate")


@pytest.mark.bar("B12")
async def test_all_that_the_service_does_is_allowed_and_nothing_else(
    pair: Pair,
    redis_cluster: RedisCluster,
    settings: Callable[..., Settings],
    simulator: Simulator,
) -> None:
    alone = await live_with_one_server(pair, settings, simulator)
    together = await live_with_a_cluster(redis_cluster, settings, simulator)
    assert sorted(ALLOWED - alone - together) == [], "allowed, and not used"
    assert alone | together >= ALLOWED


def user_without(row: str) -> list[str]:
    """The line of the file without what a row of the page says that this use can do without."""
    page = (REPOSITORY / "docs" / "operate.md").read_text()
    [left_out] = re.findall(rf"^\| {re.escape(row)} \| (.*) \|$", page, re.MULTILINE)
    words = {word.replace("\\|", "|") for word in re.findall(r"[+~][^ `,]+", left_out)}
    assert words < set(USER)
    return [word for word in USER if word not in words]


@pytest.mark.parametrize(
    ("row", "overrides"),
    [
        ("one server, no number in `REDIS_URL`", {}),
        (
            "one server or Sentinel, with `SESSION_CONFIRM_REPLICAS`",
            {"session_confirm_replicas": 1},
        ),
        ("`EVENTS_KEPT=0`", {"events_kept": 0}),
    ],
)
async def test_one_server_can_do_with_less(
    pair: Pair,
    settings: Callable[..., Settings],
    simulator: Simulator,
    row: str,
    overrides: dict[str, object],
) -> None:
    primary = pair.nodes[0]
    primary.client.execute_command("ACL", "SETUSER", USER[0], "reset", *user_without(row)[1:])
    url = f"redis://minigate:{PASSWORD}@{primary.address}"
    async with serving(settings, simulator, url, **overrides) as api:
        await live(api, simulator)
    assert denied([primary]) == []


async def test_a_line_from_before_there_were_events_serves_and_keeps_none(
    pair: Pair,
    settings: Callable[..., Settings],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    primary = pair.nodes[0]
    own = [word for word in USER if word not in {"+xadd", "+xrevrange", "+pfadd", "+pfcount"}]
    primary.client.execute_command("ACL", "SETUSER", own[0], "reset", *own[1:])
    url = f"redis://minigate:{PASSWORD}@{primary.address}"
    async with serving(settings, simulator, url) as api:
        sessionid = (await api.login(await simulator.code())).data["sessionid"]
        assert (await api.session(sessionid)).status == 200
        await until(lambda: "failed: " in stderr.getvalue(), within=5, what="the log says so")
        assert (await api.logout(sessionid)).data == {"ended": True}
    assert "NOPERM (the user may not do this: config/redis-acl.conf" in stderr.getvalue()
    assert {entry["object"] for entry in denied([primary])} <= {"pfadd", "pfcount", "xadd"}


@pytest.mark.parametrize(
    ("row", "confirmed"),
    [("a cluster", 0), ("a cluster with `SESSION_CONFIRM_REPLICAS`", 1)],
)
async def test_a_cluster_can_do_with_less(
    redis_cluster: RedisCluster,
    settings: Callable[..., Settings],
    simulator: Simulator,
    row: str,
    confirmed: int,
) -> None:
    await live_with_a_cluster(
        redis_cluster,
        settings,
        simulator,
        user_without(row),
        session_confirm_replicas=confirmed,
    )


@pytest.mark.bar("K6")
async def test_another_prefix_begins_every_key(
    pair: Pair, settings: Callable[..., Settings], simulator: Simulator
) -> None:
    """By a user who may touch no key without it."""
    primary = pair.nodes[0]
    own = [word.replace("~minigate:", "~shop:").replace("{minigate:", "{shop:") for word in USER]
    primary.client.execute_command("ACL", "SETUSER", *own[:2], "resetkeys", *own[2:])
    url = f"redis://minigate:{PASSWORD}@{primary.address}/1"
    overrides = {"redis_prefix": "shop:", "session_confirm_replicas": 1}
    async with serving(settings, simulator, url, **overrides) as api:
        await live(api, simulator)
        sessionid = (await api.login(await simulator.code("dora"))).data["sessionid"]
    assert denied([primary]) == []
    with redis.Redis(port=primary.port, db=1) as client:
        kept = {bytes(key) for key in client.scan_iter()}
    assert kept
    assert all(key.startswith((b"shop:", b"{shop:")) for key in kept), kept
    # Another service there knows nothing of it.
    async with serving(settings, simulator, f"redis://{primary.address}/1") as other:
        assert (await other.session(sessionid)).code == 40102


@pytest.mark.bar("B12")
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("CLUSTER", "FAILOVER"),
        ("SCRIPT", "FLUSH"),
        ("REPLICAOF", "NO", "ONE"),
        ("SHUTDOWN",),
        ("MONITOR",),
        ("MEMORY", "STATS"),
        ("PUBLISH", "minigate:x", "y"),
        ("GET", "others:key"),
        ("SET", "minigate", "x"),
        ("MGET", "minigate:x", "others:key"),
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", "others:key"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("SET", "{others}:confirm", "x"),
    ],
    ids=" ".join,
)
async def test_other_keys_and_commands_are_refused(pair: Pair, command: tuple[str, ...]) -> None:
    with redis.Redis(port=pair.nodes[0].port, username="minigate", password=PASSWORD) as client:
        assert client.get("minigate:x") is None
        with pytest.raises(
            redis.ResponseError, match=r"(?i)no permission|can't run this command|access"
        ):
            client.execute_command(*command)
    assert len(denied(pair.nodes[:1])) >= 1


def test_without_a_password_redis_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "redis.conf"
    config.write_text(f"include {FILE}\n")
    [port] = free_ports(1)
    node = RedisProcess(tmp_path / "home", port, *HABITS, config=str(config))
    node.start()
    try:
        assert node._process is not None
        assert node._process.wait(timeout=5) != 0
        assert re.search(r"(?i)hash", node.last_words)
    finally:
        node.kill()


def test_the_readmes_name_the_file() -> None:
    for readme in ("README.md", "README.zh-CN.md"):
        assert f"config/{FILE.name}" in (REPOSITORY / readme).read_text()
    assert APPID not in TEXT
