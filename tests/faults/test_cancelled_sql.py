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
from service.core.throttled_log import ThrottledLog
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


@pytest.mark.bar("G5")
async def test_tasks_that_are_cancelled_at_any_moment_leave_no_connection_behind(
    postgres: Postgres, figure: Figure
) -> None:
    address = postgres.database()
    size, count = 4, effort(300, 1200)
    database = connect_sql(address, pool_size=size)
    await upgrade(database)
    assert isinstance(database, PostgresDatabase)
    store = SqlUsers(database, Keyring([SECRET_KEY], purpose="phone"), ThrottledLog("sql"))
    rng, became = random.SystemRandom(), Counter[str]()

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

    longest = 60.0
    try:
        await store.get("somebody")
        began = time.monotonic()
        await asyncio.gather(*(arrive(-number) for number in range(1, 41)))
        longest = 2 * (time.monotonic() - began)
        for start in range(0, count, 40):
            await asyncio.gather(*(arrive(number) for number in range(start, start + 40)))
        pool: Any = database._engine.pool
        await eventually(lambda: pool.checkedout() == 0, within=5, what="all are given back")

        def states(db: Connection) -> list[str]:
            mine = text("SELECT state FROM pg_stat_activity WHERE datname = current_database()")
            return [row.state for row in db.execute(mine)]

        found = await database.read(states)
        await asyncio.gather(*(store.get(f"nobody-{n}") for n in range(size)))
    finally:
        await database.aclose()
    figure(f"{dict(became)}: 0 connections out, {len(found)} at the server")
    assert min(became["cancelled"], became["done"]) > count / 20
    assert len(found) <= size
    assert set(found) <= {"active", "idle"}
