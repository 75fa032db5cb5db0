"""What an operator reads of an outage, though nobody asks anything, and however many do."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest

from service.sql.schema_version import NEWEST
from tests.support.postgres import running_postgres
from tests.support.process import (
    LINUX_ONLY,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.running import running_service
from tests.support.settings import APP_SECRET, APPID
from tests.support.workers import in_workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.postgres import Postgres
    from tests.support.running import Simulator

pytestmark = [LINUX_ONLY, pytest.mark.timeout(120)]

PASSWORD: Final = "password-canary"
SHORTER: Final = """
from service.core import outage, watch
outage.REMIND_SECONDS, watch.LOOK_SECONDS, watch.AWAY_SECONDS = 3.0, 0.5, 0.2
"""
"""Minutes as seconds."""


def production(redis: str, **more: str) -> dict[str, str]:
    return complete_environment(
        redis=redis,
        wechat="https://127.0.0.1:1",
        ENVIRONMENT="production",
        LOG_LEVEL="WARNING",
        **more,
    )


def lines_of(output: str, beginning: str) -> list[dict[str, Any]]:
    """Those whose message begins so."""
    lines = [orjson.loads(line) for line in output.splitlines()]
    return [one for one in lines if one["message"].startswith(beginning)]


def told(service: ServiceProcess, what: str) -> list[dict[str, Any]]:
    """The lines of an outage of this thing."""
    return lines_of(service.output, f"{what}: outage ")


def listen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written from now on; pytest puts its own in place before each test."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    return written


async def test_redis_away_at_the_start_and_later_is_begin_reminder_and_end(
    tmp_path: Path,
) -> None:
    """At LOG_LEVEL=WARNING, with a host and a reason; no request is made at all."""
    async with RedisServer(tcp=True) as redis:
        redis.kill()
        environment = production(redis.url, PYTHONPATH=in_workers(tmp_path, SHORTER))
        async with ServiceProcess(environment, home=tmp_path) as service:

            async def until(count: int) -> dict[str, Any]:
                await eventually(
                    lambda: len(told(service, "redis")) >= count,
                    within=30,
                    what=f"line {count} is there",
                )
                return told(service, "redis")[count - 1]

            begin, reminder = await until(1), await until(2)
            await redis.start()
            end = await until(len(told(service, "redis")) + 1)
            while not end["message"].endswith("is over"):  # one more reminder came first
                end = await until(len(told(service, "redis")) + 1)
            await asyncio.sleep(3.5)  # after which the next one is another one
            before = len(told(service, "redis"))
            redis.kill()
            again = await until(before + 1)
    where = redis.url.removeprefix("redis://")
    assert begin["message"].startswith("redis: outage begins: health failed: ")
    assert "ECONNREFUSED" in begin["message"]
    assert reminder["message"].startswith("redis: outage goes on: ")
    assert reminder["failures"] > 1
    assert reminder["seconds"] >= 3
    assert end["message"] == "redis: outage is over"
    assert end["seconds"] >= reminder["seconds"]
    assert again["message"].startswith("redis: outage begins: ")
    for line in (begin, reminder, end, again):
        assert (line["where"], line["worker"]) == (where, "1")
        assert "requestId" not in line
    assert [one["level"] for one in (begin, reminder, end)] == ["ERROR", "ERROR", "WARNING"]


@pytest.fixture(scope="module")
def postgres() -> Any:
    with running_postgres() as server:
        yield server


async def test_a_wrong_password_for_postgresql_is_named_without_a_login(
    postgres: Postgres, tmp_path: Path
) -> None:
    postgres.psql("CREATE ROLE stranger LOGIN PASSWORD 'another one'")
    rules = postgres.folder / "pg_hba.conf"
    rules.write_text("local all stranger scram-sha-256\n" + rules.read_text())
    postgres.psql("SELECT pg_reload_conf()")
    url = postgres.database().replace("postgres:@", f"stranger:{PASSWORD}@")
    async with RedisServer() as redis:
        environment = production(redis.url, DATABASE_URL=url)
        async with ServiceProcess(environment, home=tmp_path) as service:
            await eventually(lambda: bool(told(service, "sql")), within=10, what="it is named")
            [line] = told(service, "sql")
            output = service.output
    assert line["message"] == (
        "sql: outage begins: look failed: DBAPIError (SQLSTATE 28P01: InvalidPasswordError):"
        " the user or the password in DATABASE_URL is wrong"
    )
    assert line["where"] == f"{postgres.folder}:5432"
    assert line["level"] == "ERROR"
    assert PASSWORD not in output


FAULTS: Final = {
    "html_502": "unusable answer: HTTP 502",
    "hang": "no answer in 0.2 s",
    "errcode": "40125: the AppSecret of ",
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_fifty_logins_without_wechat_are_one_line(
    settings: Callable[..., Settings],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    stderr = listen(monkeypatch)
    params: dict[str, dict[str, object]] = {"errcode": {"errcode": 40125}}
    codes = [await simulator.code(f"user-{number}") for number in range(50)]
    own = settings(
        wechat_api_base=(simulator.url,),
        wechat_timeout_ms=200,
        limit_login_per_address="off",
        log_format="json",
    )
    async with running_service(own) as api:
        await simulator.fault(kind, **params.get(kind, {}))
        for code in codes:
            assert (await api.login(code)).status in {502, 503}
        begun = [one["message"] for one in lines_of(stderr.getvalue(), "wechat: outage ")]
        [record] = api.app.ctx.services.outages.recent()
        await simulator.heal()
    assert [one.partition(" failed: ")[0] for one in begun] == [
        "wechat: outage begins: /sns/jscode2session"
    ]
    assert begun[0].partition(" failed: ")[2].startswith(FAULTS[kind])
    assert (record.what, record.until) == ("wechat", None)
    assert APP_SECRET not in begun[0]


async def test_a_wechat_that_cannot_be_reached_is_named_with_its_host(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = listen(monkeypatch)
    own = settings(
        wechat_api_base=("http://127.0.0.1:1",), limit_login_per_address="off", log_format="json"
    )
    async with running_service(own) as api:
        for _ in range(50):
            assert (await api.login(await simulator.code())).status == 502
        [record] = api.app.ctx.services.outages.recent()
    [line] = lines_of(stderr.getvalue(), "wechat: ")
    assert line["message"] == (
        "wechat: outage begins: connecting failed:"
        " ClientConnectorError (ECONNREFUSED: Connection refused)"
    )
    assert line["where"] == "127.0.0.1:1"
    assert (record.what, record.where, record.failures) == ("wechat", "127.0.0.1:1", 50)


async def test_the_first_worker_says_at_the_start_what_it_has_found(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with RedisServer(tcp=True) as redis:
        environment = complete_environment(
            redis=redis.url, wechat=simulator.url, WEB_CONCURRENCY="2", LOG_FORMAT="json"
        )
        async with ServiceProcess(environment, home=tmp_path) as service:
            await service.ready()

            def summary() -> list[dict[str, Any]]:
                lines = [
                    orjson.loads(line) for line in service.output.splitlines() if line[:1] == "{"
                ]
                return [one for one in lines if one["logger"] == "service.summary"]

            await eventually(lambda: len(summary()) == 4, within=10, what="all is said")
            await eventually(lambda: len(service.workers) == 2, within=10, what="both are up")
            lines = summary()
    by_topic = {one["message"].partition(":")[0]: one for one in lines}
    assert {one["worker"] for one in lines} == {"1"}
    assert by_topic["redis"]["message"].startswith("redis: version ")
    assert by_topic["redis"]["where"] == redis.url.removeprefix("redis://")
    assert by_topic["database"]["message"].startswith("database: SQLite 3.")
    assert by_topic["database"]["message"].endswith(f", schema {NEWEST}")
    assert f"{simulator.url}, a stand-in, for {APPID}" in by_topic["wechat"]["message"]
    assert by_topic["avatars"]["message"].startswith("avatars: file://")


async def test_the_start_waits_for_nothing_that_is_away_and_says_so(tmp_path: Path) -> None:
    async with RedisServer(tcp=True) as redis:
        redis.kill()
        environment = production(redis.url) | {
            "LOG_LEVEL": "INFO",
            "DATABASE_URL": f"postgresql://user:{PASSWORD}@127.0.0.1:1/users",
        }
        async with ServiceProcess(environment, home=tmp_path) as service:
            for words in (
                "redis: one address, does not answer: unreachable",
                "database: PostgreSQL, does not answer: ",
            ):
                await eventually(lambda w=words: w in service.output, within=15, what=words)  # type: ignore[misc] # bound now
            assert PASSWORD not in service.output


async def test_a_redis_that_was_restarted_is_said(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = listen(monkeypatch)
    monkeypatch.setattr("service.core.watch.LOOK_SECONDS", 0.05)

    def own(redis: RedisServer) -> Settings:
        return settings(redis_url=redis.url, log_format="json")

    async with RedisServer(tcp=True) as redis, running_service(own(redis)) as api:
        [node] = api.app.ctx.services.sessions.redis.topology.nodes()
        former = (await node.server()).run_id
        await asyncio.sleep(0.5)  # in which it has looked
        redis.kill()
        await redis.start()
        await eventually(
            lambda: "redis: restarted" in stderr.getvalue(), within=20, what="it is said"
        )
    [line] = lines_of(stderr.getvalue(), "redis: restarted")
    assert line["level"] == "WARNING"
    assert line["where"] == redis.url.removeprefix("redis://")
    assert line["run_id"] != former
