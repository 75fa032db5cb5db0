"""Of a user database that does not answer in time the log says what was waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from service.core.errors import UserStoreUnavailable
from service.core.outage import Outage
from service.sql.connect import connect_sql
from service.sql.users import SqlUsers
from service.stores.keyring import Keyring
from tests.support.postgres import running_postgres
from tests.support.process import LINUX_ONLY
from tests.support.settings import SECRET_KEY

if TYPE_CHECKING:
    from service.sql.database import SqlDatabase
    from tests.support.postgres import Postgres

pytestmark = LINUX_ONLY


@pytest.fixture(scope="module")
def postgres() -> Any:
    with running_postgres() as server:
        yield server


def users_of(database: SqlDatabase) -> SqlUsers:
    return SqlUsers(database, Keyring([SECRET_KEY], purpose="phone"), Outage("sql"))


async def fails(users: SqlUsers, statement: str = "SELECT pg_sleep(10)") -> None:
    with pytest.raises(UserStoreUnavailable):
        await users._read(lambda db: db.execute(text(statement)))


async def test_a_statement_that_takes_too_long(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    database = connect_sql(postgres.database(), pool_size=1)
    await fails(users_of(database))
    await database.aclose()
    assert caplog.messages == ["sql: outage begins: read failed: a statement timed out"]


async def test_a_pool_in_which_no_connection_comes_free(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    database = connect_sql(postgres.database(), pool_size=2)
    busy = [asyncio.create_task(fails(users_of(database))) for _ in range(2)]
    await asyncio.sleep(0)
    await fails(users_of(database), "SELECT 1")
    await asyncio.gather(*busy)
    await database.aclose()
    assert (
        "sql: outage begins: read failed: the pool is exhausted: all 2 are busy" in caplog.messages
    )


async def test_a_server_that_takes_the_connection_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        database = connect_sql(f"postgresql://u:canary@127.0.0.1:{port}/users", pool_size=1)
        await fails(users_of(database))
        await database.aclose()
    assert caplog.messages == ["sql: outage begins: read failed: no connection was made in time"]


async def test_a_success_ends_it(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    database = connect_sql(postgres.database(), pool_size=1)
    users = users_of(database)
    await fails(users)
    await asyncio.sleep(1.1)  # SETTLED_SECONDS
    await users._read(lambda db: db.execute(text("SELECT 1")))
    await database.aclose()
    assert [one.partition(":")[2] for one in caplog.messages] == [
        " outage begins: read failed: a statement timed out",
        " outage is over",
    ]
