"""A user table that was restored from before: sessions of users who are not in it end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.core import gone_users
from service.sql.connect import connect_sql
from service.wiring import migrate
from tests.support.failover import log_in, verify
from tests.support.running import running_service
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from service.config.settings import Settings
    from tests.support.postgres import Postgres
    from tests.support.running import Simulator


@pytest.fixture(params=["sqlite", "postgresql"])
async def served(
    request: pytest.FixtureRequest, settings: Callable[..., Settings], simulator: Simulator
) -> Settings:
    """Settings with an empty user table."""
    more: dict[str, object] = {}
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        more["database_url"] = server.database()
    made = settings(wechat_api_base=(simulator.url,), **more)
    if more:
        await migrate(made)
    return made


async def delete_all_users(settings: Settings) -> None:
    """As a restore of an older copy does, behind the service's back."""

    def delete(db: Connection) -> None:
        for table in ("phones", "unions", "identities", "users"):
            db.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 # no input

    assert settings.database_url is not None
    database = connect_sql(settings.database_url.get_secret_value(), pool_size=1)
    try:
        await database.write(delete)
    finally:
        await database.aclose()


async def test_they_are_told_within_seconds_to_log_in_and_then_have_a_user_again(
    served: Settings, simulator: Simulator
) -> None:
    async with running_service(served) as api:
        alice = await log_in(api, simulator)
        await delete_all_users(served)
        bob = await log_in(api, simulator, "bob")
        watch = Stopwatch()
        assert (await verify(api, alice))[0] == (200, 0)
        while (found := (await verify(api, alice))[0][0]) == 200:
            assert (await verify(api, bob))[0] == (200, 0)
            assert not watch.exceeds(15)
            await asyncio.sleep(0.05)
        assert found == 401
        assert (await api.session(alice)).code == 40102
        assert (await verify(api, bob))[0] == (200, 0)
        again = await log_in(api, simulator)
        assert (await api.session(again)).status == 200


async def test_without_the_database_sessions_stay_good(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gone_users, "_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(gone_users, "_DOUBT_SECONDS", 0.2)
    monkeypatch.setattr(gone_users, "_AWAY_SECONDS", 0.1)
    made = settings(wechat_api_base=(simulator.url,))
    async with running_service(made) as api:
        alice = await log_in(api, simulator)
    elsewhere = settings(
        wechat_api_base=(simulator.url,), database_url="postgresql://127.0.0.1:1/none"
    )
    async with running_service(elsewhere) as api:
        watch = Stopwatch()
        while not watch.exceeds(1.5):
            assert (await verify(api, alice))[0] == (200, 0)
            await asyncio.sleep(0.02)
