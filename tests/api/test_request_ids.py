"""The id that a user quotes is in every line that their request has caused, and in no other."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from service.core import watch
from tests.support.process import eventually
from tests.support.running import Api, running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Simulator

ID = "quoted-by-a-user-7f3a"


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    told = io.StringIO()
    monkeypatch.setattr("sys.stderr", told)
    return told


@pytest.fixture
async def api(
    stderr: io.StringIO,
    settings: Callable[..., Settings],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Api]:
    assert stderr.getvalue() == ""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 3600)  # the request is to notice it
    own = settings(wechat_api_base=(simulator.url,), log_format="json", access_log=True)
    async with running_service(own) as running:
        yield running


def lines(stderr: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stderr.getvalue().splitlines()]


def forget(stderr: io.StringIO) -> None:
    """What was written before."""
    stderr.seek(0)
    stderr.truncate()


async def log_in(api: Api, code: str, request_id: str = ID) -> Answer:
    return await api.ask(
        "POST", "/login", json={"code": code}, headers={"X-Request-ID": request_id}
    )


def assert_all_carry_it(found: list[dict[str, Any]], *needed: str) -> None:
    """All lines since the start of the service are those of the one request."""
    assert {one.get("requestId") for one in found} == {ID}, found
    for words in needed:
        assert [one for one in found if words in one["message"]], words


async def test_a_login_that_wechat_refuses(
    api: Api, simulator: Simulator, stderr: io.StringIO
) -> None:
    await simulator.fault("errcode", errcode=40125)
    forget(stderr)
    assert (await log_in(api, await simulator.code())).body["requestId"] == ID
    found = lines(stderr)
    assert_all_carry_it(found, "40125: the AppSecret of ", "answered")
    [refused] = [one for one in found if one.get("errcode") == 40125]
    assert (refused["level"], refused["logger"]) == ("ERROR", "service.core.outage")


async def test_a_login_for_which_the_database_is_away(
    api: Api, simulator: Simulator, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await simulator.code()
    forget(stderr)

    async def away(*_: object, **__: object) -> NoReturn:
        raise OSError("no route to the database")

    for method in ("first", "write", "read"):
        monkeypatch.setattr(f"service.sql.sqlite.SqliteDatabase.{method}", away)
    assert (await log_in(api, code)).code == 50301
    assert_all_carry_it(lines(stderr), "sql: outage begins: read failed: OSError", "answered")


async def test_a_login_for_which_redis_is_away(
    api: Api, simulator: Simulator, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await simulator.code()
    forget(stderr)

    async def away(*_: object, **__: object) -> NoReturn:
        raise RedisConnectionError("away")

    monkeypatch.setattr("service.redis.batching.CommandBatcher.execute", away)
    assert (await log_in(api, code)).code == 50300
    assert_all_carry_it(lines(stderr), "redis: outage begins: ", "answered")


async def test_a_login_that_succeeds_and_a_bug_of_ours(
    api: Api, simulator: Simulator, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(stderr)
    assert (await log_in(api, await simulator.code())).status == 200

    def fail(*_: object, **__: object) -> NoReturn:
        raise TypeError("a bug")

    monkeypatch.setattr("service.stores.session_record.write", fail)
    assert (await log_in(api, await simulator.code())).code == 50000
    assert_all_carry_it(lines(stderr), "login", "failed: TypeError: a bug at ", "answered")


async def test_a_check_the_short_way_and_one_the_ordinary_way(
    api: Api, simulator: Simulator, stderr: io.StringIO
) -> None:
    session = (await log_in(api, await simulator.code())).data["sessionid"]
    for path, number in (("/verify", 1), ("/verify", 2), ("/session", 3)):
        headers = {"sessionid": session, "X-Request-ID": f"check-{number}"}
        assert (await api.ask("GET", path, headers=headers)).status == 200
    assert api.app.ctx.short_answers
    found = [one for one in lines(stderr) if one["message"] == "answered"]
    assert [(one["route"], one["status"], one["requestId"]) for one in found] == [
        ("/login", 200, ID),
        ("/verify", 200, "check-1"),
        ("/verify", 200, "check-2"),
        ("/session", 200, "check-3"),
    ]


async def test_many_at_once_each_have_their_own(
    api: Api, simulator: Simulator, stderr: io.StringIO
) -> None:
    codes = [await simulator.code(f"user-{number}") for number in range(20)]
    forget(stderr)
    logins = (log_in(api, code, f"id-{number}") for number, code in enumerate(codes))
    answers = await asyncio.gather(*logins)
    assert {one.status for one in answers} == {200}
    told = [one["requestId"] for one in lines(stderr) if one["message"] == "login"]
    assert sorted(told) == sorted(f"id-{number}" for number in range(20))


async def test_what_is_done_for_several_carries_the_id_of_none(
    api: Api, simulator: Simulator, stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that one request happens to start, and a connection that it happens to open."""
    session = (await log_in(api, await simulator.code())).data["sessionid"]
    for node in api.app.ctx.services.sessions.redis.topology.nodes():
        await node.close_idle()

    async def refused(*_: object, **__: object) -> NoReturn:
        logging.getLogger("service.test").error("connecting")
        raise RedisConnectionError("away")

    monkeypatch.setattr("redis.asyncio.BlockingConnectionPool.get_connection", refused)
    forget(stderr)
    asked = {"sessionid": session, "X-Request-ID": ID}
    assert (await api.ask("GET", "/me", headers=asked)).code == 50300
    connecting = [one for one in lines(stderr) if one["message"] == "connecting"]
    assert connecting
    assert all("requestId" not in one for one in connecting)
    await eventually(
        lambda: any(one.get("requestId") == ID for one in lines(stderr)),
        within=5,
        what="the request's own line is there",
    )
