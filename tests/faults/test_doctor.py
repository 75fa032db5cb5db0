"""`doctor` on broken set-ups, on real servers: each is named with its cure, and no secret is."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from service.cli.doctor.examination import as_json, examine
from service.cli.doctor.redis_rights import commands_for
from service.cli.output import Output
from tests.faults.test_redis_acl import ALLOWED
from tests.faults.test_redis_acl import USER as WHOLE_USER
from tests.support.ports import free_port, free_ports
from tests.support.process import LINUX_ONLY
from tests.support.redis_servers import HABITS, RedisProcess, until
from tests.support.settings import APP_SECRET, APPID, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.postgres import Postgres
    from tests.support.redis_cluster import RedisCluster
    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

PASSWORD: Final = "redis-password-canary-52b8"
USER: Final = [word for word in WHOLE_USER if not word.startswith("#")]
"""Of config/redis-acl.conf, without its password."""
SECRETS: Final = (PASSWORD, APP_SECRET, SECRET_KEY, "canary")


class Doctor:
    """Asks with settings that are complete but for what is overridden."""

    def __init__(self, make: Callable[..., Settings], simulator: Simulator) -> None:
        self._make = make
        self._simulator = simulator
        self.said = ""

    async def __call__(self, **overrides: object) -> dict[str, list[dict[str, str]]]:
        """What is found by each check."""
        values = {"wechat_api_base": (self._simulator.url,), "port": free_port(), **overrides}
        out = io.StringIO()
        output = Output("en", out=out)
        found = await examine(self._make(**values), output, quiet=False)
        self.said = out.getvalue()
        told = {name: [as_json(name, one, output) for one in many] for name, many in found.items()}
        text = self.said + json.dumps(told)
        assert not [secret for secret in SECRETS if secret in text]
        assert "could not be looked at" not in text, text
        return told

    async def wrong(self, **overrides: object) -> dict[str, dict[str, str]]:
        """The one thing that is wrong by each check that finds one."""
        found = await self(**overrides)
        wrong = {
            name: [one for one in many if one["state"] == "wrong"] for name, many in found.items()
        }
        assert all(len(many) <= 1 for many in wrong.values()), wrong
        assert all(one["cure"] in self.said for many in wrong.values() for one in many)
        return {name: many[0] for name, many in wrong.items() if many}


@pytest.fixture
def doctor(settings: Callable[..., Settings], simulator: Simulator) -> Doctor:
    return Doctor(settings, simulator)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisProcess]:
    """One with a password and a maxmemory."""
    own = (*HABITS, "--requirepass", PASSWORD, "--maxmemory", "100mb")
    node = RedisProcess(tmp_path / "redis", free_port(), *own, password=PASSWORD)
    node.start()
    await until(lambda: node.answers, within=5, what="redis-server answers")
    yield node
    node.kill()


def url_of(node: RedisProcess, user: str = "", password: str = PASSWORD) -> str:
    return f"redis://{user}:{password}@{node.address}"


async def test_nothing_is_wrong_with_what_works(doctor: Doctor, redis: RedisProcess) -> None:
    found = await doctor(redis_url=url_of(redis))
    states = {one["state"] for many in found.values() for one in many}
    assert "wrong" not in states, doctor.said
    lines = doctor.said.splitlines()
    assert any(line.startswith("Redis ... ok, 6.") for line in lines), doctor.said
    assert any(line.startswith("Database ... ok, SQLite 3.") for line in lines)
    assert f"WeChat {APPID} ... ok, accepts the AppSecret" in lines
    assert "Avatar store ... ok, wrote, read and deleted a picture" in lines
    assert [*found] == [
        *("redis", "redis-clock", "redis-memory", "redis-persistence", "redis-rights"),
        *("redis-replicas", "database", "database-schema", f"wechat:{APPID}", "avatars"),
        *("port", "time", "workers"),
    ]


async def test_it_leaves_nothing_behind(
    doctor: Doctor, redis: RedisProcess, tmp_path: Path
) -> None:
    await doctor(redis_url=url_of(redis), session_confirm_replicas=0)
    assert redis.client.dbsize() == 0
    assert [*(tmp_path / "avatars").iterdir()] == []


async def test_it_asks_wechat_and_leaves_the_token_that_lives_as_it_is(
    doctor: Doctor, simulator: Simulator
) -> None:
    before = await token(simulator)
    calls = await simulator.calls("/cgi-bin/stable_token")
    await doctor()
    assert await simulator.calls("/cgi-bin/stable_token") == calls + 1
    assert await token(simulator) == before


async def token(simulator: Simulator) -> str:
    body = {"grant_type": "client_credential", "appid": APPID, "secret": APP_SECRET}
    async with simulator.http.post(f"{simulator.url}/cgi-bin/stable_token", json=body) as reply:
        return str((await reply.json(content_type=None))["access_token"])


async def test_redis_is_down(doctor: Doctor) -> None:
    port = free_port()
    wrong = await doctor.wrong(redis_url=f"redis://u:{PASSWORD}@127.0.0.1:{port}")
    assert [*wrong] == ["redis"]  # and the rest of Redis is not asked
    assert f"127.0.0.1:{port}" in wrong["redis"]["text"]
    assert "ECONNREFUSED" in wrong["redis"]["text"]
    assert "start Redis" in wrong["redis"]["cure"]


@pytest.mark.parametrize(
    ("password", "word"), [("wrong-canary", "WRONGPASS"), ("", "NOAUTH")], ids=["wrong", "none"]
)
async def test_redis_has_another_password(
    doctor: Doctor, redis: RedisProcess, password: str, word: str
) -> None:
    url = url_of(redis, password=password) if password else f"redis://{redis.address}"
    wrong = await doctor.wrong(redis_url=url)
    assert [*wrong] == ["redis"]
    assert word in wrong["redis"]["text"]
    assert "password" in wrong["redis"]["cure"]
    assert "REDIS_URL" in wrong["redis"]["cure"]


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        ("allkeys-lru", "wrong"),
        ("allkeys-random", "wrong"),
        ("volatile-lru", "warning"),
        ("volatile-ttl", "ok"),
        ("noeviction", "ok"),
    ],
)
async def test_redis_would_throw_sessions_away(
    doctor: Doctor, redis: RedisProcess, policy: str, state: str
) -> None:
    redis.client.config_set("maxmemory-policy", policy)
    [finding] = (await doctor(redis_url=url_of(redis)))["redis-memory"]
    assert finding["state"] == state
    assert policy in finding["text"]
    assert state == "ok" or "noeviction" in finding["cure"]


@pytest.mark.parametrize("left_out", ["+pexpire", "+evalsha", "+mget", "+del", "+time", "+eval"])
async def test_the_user_of_redis_lacks_a_command(
    doctor: Doctor, redis: RedisProcess, left_out: str
) -> None:
    words = [word for word in USER if word != left_out]
    redis.client.execute_command("ACL", "SETUSER", *words, f">{PASSWORD}")
    wrong = await doctor.wrong(redis_url=url_of(redis, "minigate"))
    assert [*wrong] == ["redis-rights"], doctor.said
    assert wrong["redis-rights"]["text"].endswith(f": {left_out}")
    assert f"ACL SETUSER <user> {left_out}" in wrong["redis-rights"]["cure"]


@pytest.mark.parametrize("left_out", ["+echo", "+role", "+xadd", "+pfcount"])
async def test_what_sessions_can_do_without_is_a_warning(
    doctor: Doctor, redis: RedisProcess, left_out: str
) -> None:
    words = [word for word in USER if word != left_out]
    redis.client.execute_command("ACL", "SETUSER", *words, f">{PASSWORD}")
    [finding] = (await doctor(redis_url=url_of(redis, "minigate")))["redis-rights"]
    assert (finding["state"], left_out in finding["cure"]) == ("warning", True)


async def test_the_user_of_redis_may_not_choose_a_database(
    doctor: Doctor, redis: RedisProcess
) -> None:
    words = [word for word in USER if word != "+select"]
    redis.client.execute_command("ACL", "SETUSER", *words, f">{PASSWORD}")
    wrong = await doctor.wrong(redis_url=url_of(redis, "minigate") + "/1")
    assert wrong["redis-rights"]["text"].endswith(": +select")


async def test_the_user_of_redis_has_the_keys_of_another_prefix(
    doctor: Doctor, redis: RedisProcess
) -> None:
    redis.client.execute_command("ACL", "SETUSER", *USER, f">{PASSWORD}")
    wrong = await doctor.wrong(redis_url=url_of(redis, "minigate"), redis_prefix="shop:")
    assert "~shop:*" in wrong["redis-rights"]["cure"]


async def test_the_user_of_the_acl_file_lacks_nothing_and_what_it_may_not_see_is_said(
    doctor: Doctor, redis: RedisProcess
) -> None:
    redis.client.execute_command("ACL", "SETUSER", *USER, f">{PASSWORD}")
    found = await doctor(redis_url=url_of(redis, "minigate"))
    assert [one["state"] for one in found["redis-rights"]] == ["ok"]
    redis.client.execute_command("ACL", "SETUSER", "minigate", "-info")
    found = await doctor(redis_url=url_of(redis, "minigate"))
    for name in ("redis-memory", "redis-persistence"):
        [finding] = found[name]
        assert finding["state"] == "note"
        assert "not allowed to look (INFO" in finding["text"]
    # Any user may say HELLO, by which the version is known all the same.
    assert "6." in found["redis"][0]["text"]


def test_what_is_tried_is_what_the_acl_file_allows() -> None:
    tried = {
        right.partition("|")[0]
        for right, _ in commands_for(
            "key", database=1, confirmed=True, in_cluster=True, events=True
        )
    }
    assert tried - {"~{<prefix>*}:confirm"} == {f"+{name}" for name in ALLOWED}


async def test_too_few_replicas(doctor: Doctor, redis: RedisProcess) -> None:
    wrong = await doctor.wrong(redis_url=url_of(redis), session_confirm_replicas=1)
    assert [*wrong] == ["redis-replicas"]
    assert "0 replicas, and SESSION_CONFIRM_REPLICAS=1" in wrong["redis-replicas"]["text"]


async def test_a_redis_that_is_full_and_one_that_cannot_write(
    doctor: Doctor, redis: RedisProcess
) -> None:
    redis.client.config_set("maxmemory", "1")
    wrong = await doctor.wrong(redis_url=url_of(redis))
    assert [*wrong] == ["redis-rights"]
    assert "OOM" in wrong["redis-rights"]["text"]
    assert "maxmemory" in wrong["redis-rights"]["cure"]


async def test_a_replica(doctor: Doctor, redis: RedisProcess, tmp_path: Path) -> None:
    [port] = free_ports(1)
    of = ("--replicaof", "127.0.0.1", str(redis.port), "--masterauth", PASSWORD)
    node = RedisProcess(
        tmp_path / "replica", port, *HABITS, *of, "--requirepass", PASSWORD, password=PASSWORD
    )
    node.start()
    try:
        await until(lambda: node.answers, within=5, what="the replica answers")
        wrong = await doctor.wrong(redis_url=url_of(node))
    finally:
        node.kill()
    assert "primary" in wrong["redis"]["cure"]


async def test_a_cluster_and_its_clock(doctor: Doctor, redis_cluster: RedisCluster) -> None:
    found = await doctor(redis_url=redis_cluster.url)
    states = {
        one["state"] for name, many in found.items() if name.startswith("redis") for one in many
    }
    assert "wrong" not in states, doctor.said
    assert [one["state"] for one in found["redis-rights"]] == ["ok"]


async def test_there_are_no_tables(doctor: Doctor, tmp_path: Path) -> None:
    wrong = await doctor.wrong(database_url=f"sqlite:///{tmp_path / 'new.db'}")
    assert [*wrong] == ["database-schema"]
    assert wrong["database-schema"]["text"] == "there are no tables yet"
    assert "python -m service migrate" in wrong["database-schema"]["cure"]


async def test_the_tables_are_older_and_newer_than_the_code(doctor: Doctor, tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415

    await doctor()  # which opens the database

    def set_version(version: str) -> None:
        with sqlite3.connect(tmp_path / "users.db") as db:
            db.execute("UPDATE alembic_version SET version_num = ?", (version,))
        db.close()

    set_version("0001")
    wrong = await doctor.wrong()
    assert "older than the code: 0001" in wrong["database-schema"]["text"]
    assert "migrate" in wrong["database-schema"]["cure"]
    set_version("9999")
    assert await doctor.wrong() == {}
    assert "newer than the code: 9999" in doctor.said


async def test_the_database_has_another_password(doctor: Doctor, postgres: Postgres) -> None:
    postgres.psql("CREATE USER doctored PASSWORD 'right'")
    rules = postgres.folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all doctored scram-sha-256\n" + before)
    try:
        postgres.psql("SELECT pg_reload_conf()")
        url = f"postgresql://doctored:wrong-canary@/postgres?host={postgres.folder}"
        wrong = await doctor.wrong(database_url=url)
    finally:
        rules.write_text(before)
        postgres.psql("SELECT pg_reload_conf()")
        postgres.psql("DROP USER doctored")
    assert [*wrong] == ["database"]  # and its tables are not looked for
    assert "28P01" in wrong["database"]["text"]
    assert "password in DATABASE_URL" in wrong["database"]["cure"]


async def test_the_database_is_not_there(doctor: Doctor, postgres: Postgres) -> None:
    url = f"postgresql://postgres@/none?host={postgres.folder}"
    wrong = await doctor.wrong(database_url=url)
    assert "3D000" in wrong["database"]["text"]
    assert "CREATE DATABASE" in wrong["database"]["cure"]


async def test_a_postgresql_that_works_is_told_with_its_version(
    doctor: Doctor, postgres: Postgres
) -> None:
    found = await doctor(database_url=postgres.database(), web_concurrency=64)
    assert "PostgreSQL" in found["database"][0]["text"]
    assert found["database"][-1]["state"] == "warning"
    assert "320 connections at most" in found["database"][-1]["text"]
    assert found["database-schema"][0]["text"] == "there are no tables yet"


async def test_the_appsecret_is_wrong(doctor: Doctor) -> None:
    wrong = await doctor.wrong(wechat_secret="another-secret-canary")
    assert [*wrong] == [f"wechat:{APPID}"]
    assert wrong[f"wechat:{APPID}"]["text"].startswith(f"40125: the AppSecret of {APPID} is wrong")
    assert "WECHAT_SECRET" in wrong[f"wechat:{APPID}"]["cure"]


async def test_wechat_knows_no_such_appid_and_the_others_are_told_apart(doctor: Doctor) -> None:
    apps: list[dict[str, str]] = [{"appid": "wxother", "secret": "x-canary"}]
    wrong = await doctor.wrong(wechat_apps=json.dumps(apps))
    assert [*wrong] == ["wechat:wxother"]
    assert wrong["wechat:wxother"]["text"].startswith("40013")


async def test_this_servers_address_is_not_on_the_list(
    doctor: Doctor, simulator: Simulator
) -> None:
    await simulator.fault("ip_whitelist", ips=[])
    wrong = await doctor.wrong()
    assert wrong[f"wechat:{APPID}"]["text"].startswith("40164")
    assert "IP" in wrong[f"wechat:{APPID}"]["cure"]


async def test_wechat_cannot_be_reached(doctor: Doctor) -> None:
    wrong = await doctor.wrong(wechat_api_base=(f"http://127.0.0.1:{free_port()}",))
    assert "WECHAT_API_BASE" in wrong[f"wechat:{APPID}"]["cure"]


async def test_avatars_cannot_be_written(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    wrong = await doctor.wrong(avatar_store=f"file://{tmp_path / 'a-file' / 'avatars'}")
    assert [*wrong] == ["avatars"]
    assert wrong["avatars"]["text"].startswith("writing failed at file://")
    assert "may write to" in wrong["avatars"]["cure"]


async def test_the_port_is_taken_by_something_else(doctor: Doctor) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        wrong = await doctor.wrong(port=port)
    assert [*wrong] == ["port"]
    assert "set PORT" in wrong["port"]["cure"]
    wrong = await doctor.wrong(host="192.0.2.1", port=port)
    assert "HOST has to be an address of this machine" in wrong["port"]["cure"]


async def test_beside_the_running_service_its_port_is_no_fault(doctor: Doctor, api: Any) -> None:
    port = int(api.url.rpartition(":")[2])
    [finding] = (await doctor(port=port))["port"]
    assert finding["state"] == "ok"
    assert "MiniGate answers" in finding["text"]
