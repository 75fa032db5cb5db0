"""Requests that are given up in the midst of a statement leave the pool as it was."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.core.errors import UserStoreUnavailable
from service.core.models import WeChatIdentity
from service.core.outage import Outage
from service.sql.connect import connect_sql
from service.sql.migrate import upgrade
from service.sql.postgres import PostgresDatabase
from service.sql.users import SqlUsers
from service.stores.keyring import Keyring
from tests.support.effort import effort
from tests.support.process import LINUX_ONLY, eventually
from tests.support.settings import APPID, SECRET_KEY

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.support.figure import Figure
    from tests.support.postgres import Postgres

pytestmark = LINUX_ONLY

_OTHERS = text(
    "SELECT state FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.mark.bar("G5")
async def test_tasks_that_are_cancelled_at_any_moment_leave_no_connection_behind(
    postgres: Postgres, figure: Figure
) -> None:
    address = postgres.database()
    size, count = 4, effort(300, 1200)
    database = connect_sql(address, pool_size=size)
    await upgrade(database)
    assert isinstance(database, PostgresDatabase)
    store = SqlUsers(database, Keyring([SECRET_KEY], purpose="phone"), Outage("sql"))
    rng, became, most = random.SystemRandom(), Counter[str](), 0

    async def arrive(number: int) -> None:
        try:
            async with asyncio.timeout(rng.uniform(0, longest)):
                match = await store.find_or_create(APPID, WeChatIdentity(f"o{number}", b"k" * 16))
                await store.set_nickname(match.user.id, "somebody")
            became["done"] += 1
        except TimeoutError:
            became["cancelled"] += 1
        except UserStoreUnavailable:
            became["refused"] += 1

    def states(db: Connection) -> list[str]:
        """Of all others' sessions there."""
        return [row.state for row in db.execute(_OTHERS)]

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(await beside.read(states)))
            await asyncio.sleep(0.01)

    longest, beside = 60.0, connect_sql(address, pool_size=1)
    watching = asyncio.create_task(watch())
    try:
        await store.get("somebody")
        began = time.monotonic()
        await asyncio.gather(*(arrive(-number) for number in range(1, 41)))
        longest = 2 * (time.monotonic() - began)
        for start in range(0, count, 40):
            await asyncio.gather(*(arrive(number) for number in range(start, start + 40)))
        pool: Any = database._engine.pool
        await eventually(lambda: pool.checkedout() == 0, within=5, what="all are given back")
        await asyncio.gather(*(store.get(f"nobody-{n}") for n in range(size)))
        left = await beside.read(states)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.aclose()
        await beside.aclose()
    figure(f"{dict(became)}; 0 connections out, {most} of {size} at most, then {len(left)} idle")
    assert min(became["cancelled"], became["done"]) > count / 20
    # One that is ended takes its moment to go.
    assert most <= size + 2
    assert set(left) <= {"idle"}
