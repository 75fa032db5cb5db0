"""What /readyz tells of the database, and to whom it need not matter."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from service import __version__
from service.sql.connect import connect_sql
from service.sql.schema_version import NEWEST
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api

READY = ("redis", "ready", "")
NOT_ASKED = [("wechat", "ready", ""), ("avatars", "ready", "")]


async def readiness(api: Api, **params: str) -> Answer:
    return await api.ask("GET", "/readyz", params=params)


def states(answer: Answer) -> list[tuple[str, str, str]]:
    return [(one["component"], one["state"], one["reason"]) for one in answer.data["components"]]


async def test_a_service_that_lacks_nothing_is_ready(api: Api) -> None:
    assert (await readiness(api)).data == {"status": "ready"}
    answer = await readiness(api, verbose="")
    assert set(answer.data) == {"status", "components", "schema"}
    assert states(answer) == [READY, ("database", "ready", ""), *NOT_ASKED]
    assert answer.data["schema"] == {"found": NEWEST, "expected": NEWEST}
    for one in answer.data["components"][2:]:
        assert one["checkedAt"] is one["since"] is None
    for one in answer.data["components"][:2]:
        age = time.time() * 1000 - one["checkedAt"]
        assert 0 <= age < 30_000, "milliseconds"
        assert one["since"] <= one["checkedAt"]


async def test_each_state_has_the_time_at_which_it_began(api: Api) -> None:
    sessions = api.app.ctx.services.sessions
    ping = sessions.ping

    async def ail() -> str:
        return "out_of_memory"

    async def since(state: str) -> list[int]:
        found = await readiness(api, verbose="")
        looked_at = found.data["components"][:2]
        assert [one["state"] for one in looked_at] == [state, "ready"]
        return [one["since"] for one in looked_at]

    healthy = await since("ready")
    sessions.ping = ail
    await asyncio.sleep(0.01)
    ailing = await since("degraded")
    assert ailing[0] > healthy[0]
    assert ailing[1] == healthy[1], "the database has gone on as it was"
    await asyncio.sleep(0.01)
    assert await since("degraded") == ailing
    sessions.ping = ping
    assert (await since("ready"))[0] > ailing[0]


async def test_a_worker_that_stops_says_so_whatever_else_is_away(
    settings: Callable[..., Settings],
) -> None:
    async with running_service(settings(redis_url="redis://127.0.0.1:1")) as api:
        away = await readiness(api)
        assert (away.status, away.code, away.data) == (503, 50300, {"reason": "unreachable"})
        api.app.ctx.stopping = True
        for params in ({}, {"verbose": ""}, {"exclude": "redis"}):
            stopping = await readiness(api, **params)
            assert (stopping.status, stopping.code) == (503, 50302), params
            assert stopping.data == {"reason": "stopping"}
            assert stopping.headers["Retry-After"] == "1"


async def test_anybody_may_know_the_version_and_nothing_of_the_machine(
    settings: Callable[..., Settings],
) -> None:
    # Nothing has to be there for it.
    async with running_service(settings(redis_url="redis://127.0.0.1:1")) as api:
        answer = await api.ask("GET", "/version")
        assert answer.status == 200
        assert answer.data == {"version": __version__, "schema": NEWEST}
        assert (await api.ask("HEAD", "/version")).status == 200


async def test_a_database_that_is_away_makes_it_red_for_those_who_need_it(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    address = "postgresql://u:canary@127.0.0.1:1/canary"
    async with running_service(settings(database_url=address)) as api:
        answer = await readiness(api)
        assert (answer.status, answer.code) == (503, 50301)
        assert set(answer.data) == {"reason"}
        assert answer.headers["Retry-After"] == "1"
        verbose = await readiness(api, verbose="")
        assert (verbose.status, verbose.code) == (503, 50301)
        redis, (_, state, reason), *_ = states(verbose)
        assert redis == READY
        assert state == "down"
        assert "ECONNREFUSED" in reason
        assert verbose.data["reason"] == answer.data["reason"] == reason
        assert verbose.data["schema"] == {"found": None, "expected": NEWEST}
        assert "canary" not in str(verbose.body) + capsys.readouterr().err
        # A gateway that only has sessions checked goes on without.
        assert (await readiness(api, exclude="database")).data == {"status": "ready"}
        assert (await api.ask("HEAD", "/readyz", params={"exclude": "database"})).status == 200


async def test_a_wechat_that_refuses_turns_nobody_away_and_strangers_are_not_told_why(
    api: Api,
) -> None:
    outage = api.app.ctx.services.outages.of("wechat")
    outage.failed("/sns/jscode2session", "40125: the AppSecret of wx1 is wrong")
    answer = await readiness(api, verbose="")
    assert (answer.status, answer.data["status"]) == (200, "ready")
    assert ("wechat", "down", "") in states(answer)
    assert "40125" not in str(answer.body)


async def test_only_what_there_is_can_be_excluded(api: Api) -> None:
    answer = await readiness(api, exclude="canary")
    assert (answer.status, answer.code) == (400, 40000)


@pytest.mark.parametrize(("version", "kind"), [("0001", "older"), ("9999", "newer")])
async def test_a_schema_of_another_version_is_told_and_turns_nobody_away(
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
    version: str,
    kind: str,
) -> None:
    configured = settings()
    assert configured.database_url is not None
    database = connect_sql(configured.database_url.get_secret_value(), pool_size=1)
    change = text("UPDATE alembic_version SET version_num = :version")
    await database.write(lambda db: db.execute(change, {"version": version}))
    await database.aclose()
    async with running_service(configured) as api:
        told = f"the schema is {kind} than the code, {version} and not {NEWEST}"
        assert told in capsys.readouterr().err  # at the start, before anybody asks
        answer = await readiness(api, verbose="")
        assert (answer.status, answer.data["status"]) == (200, "degraded")
        assert told in answer.data["components"][1]["reason"]
        assert answer.data["schema"] == {"found": version, "expected": NEWEST}


async def test_a_database_without_tables_is_told(
    settings: Callable[..., Settings], tmp_path: object
) -> None:
    async with running_service(settings(database_url=f"sqlite:///{tmp_path}/new.db")) as api:
        answer = await readiness(api, verbose="")
        assert (answer.status, answer.data["status"]) == (200, "degraded")
        assert answer.data["components"][1]["reason"].startswith("no tables: run")


async def test_however_often_it_is_asked_the_database_is_not(api: Api) -> None:
    looked = 0
    status = api.app.ctx.services.database
    look = status._look

    async def counted() -> object:
        nonlocal looked
        looked += 1
        return await look()

    status._look = counted
    for _ in range(20):
        await readiness(api)
    assert looked <= 2
